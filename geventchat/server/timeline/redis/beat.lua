#!lua flags=allow-oom
-- Renews the lease of a node, ends those of nodes that are gone, and trims the feed.
-- ARGV: node, life, the feed's last id at the last beat, the id below which the feed goes, the id of
-- the entry that tells of the node unless all others know it, nodes that have ended for sure.
-- Adds an entry if the feed was quiet since the last beat. Gives the feed's last id, whether all
-- others know the node (1), and those others.
-- include fence.lua
-- include posts.lua
-- include lives.lua
local node, life, quiet, low, came = unpack(ARGV)
fence(node, life)
if redis.call('TYPE', '{gc}:feed').ok ~= 'stream' then  -- then a new life has to begin
  return redis.error_reply('FENCED the feed is missing')
end
local gone = {}
for place = 6, #ARGV do
  gone[#gone + 1] = ARGV[place]
end
local living = others(life, node, gone)
redis.call('HSET', '{gc}:leases', node, now_ms() + LEASE_MS)
if low ~= '' then
  redis.call('XTRIM', '{gc}:feed', 'MINID', low)
end
local last = info_of('{gc}:feed')['last-generated-id']
if last == quiet then
  last = redis.call('XADD', '{gc}:feed', life .. '-*', 'h', node)
end
if quiet ~= '' then
  redis.call('HSET', '{gc}:knows', node, quiet)
end
local function number(id)
  return tonumber(string.match(id or '0-0', '%-(%d+)$'))
end
local known = 1
if came ~= '' and #living > 0 then
  for _, each in ipairs(redis.call('HMGET', '{gc}:knows', unpack(living))) do
    if number(each) < number(came) then
      known = 0
    end
  end
end
return {last, known, unpack(living)}
