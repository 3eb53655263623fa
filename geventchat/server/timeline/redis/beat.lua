#!lua flags=allow-oom
-- Renews the lease of the node that stores, and trims the feed.
-- ARGV: node, life, the feed's last id at the last beat, the id below which the feed goes.
-- Adds an entry if the feed was quiet since the last beat. Gives the feed's last id.
-- include fence.lua
-- include posts.lua
-- include lives.lua
local node, life, quiet, low = unpack(ARGV)
fence(node, life)
local feed = info_of('{gc}:feed')
if not feed then  -- then a new life has to begin
  return redis.error_reply('FENCED the feed is missing')
end
redis.call('HSET', '{gc}:life', 'lease', now_ms() + LEASE_MS)
if low ~= '' then
  redis.call('XTRIM', '{gc}:feed', 'MINID', low)
end
local last = feed['last-generated-id']
if last == quiet then
  last = redis.call('XADD', '{gc}:feed', life .. '-*', 'h', node)
end
return last
