#!lua flags=allow-oom
-- Deletes the oldest posts of a room, with their keys and changes: at most 200, and only those that
-- are older than a time (0: any), so that some stay.
-- ARGV: node, life, room, stay, older. Gives the number of deleted posts, and of those that stay.
-- include fence.lua
-- include posts.lua
local MOST = 200
fence(ARGV[1], ARGV[2])
local room, stay, older = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local top, oldest = top_of(room), oldest_of(room)
local upto = math.min(top - stay, oldest + MOST - 1)
local keys, positions = {}, {}
local entries = {}
for _, entry in ipairs(redis.call('XRANGE', key('room', room), '0-' .. oldest, '0-' .. upto)) do
  entries[entry[1]] = entry
end
for position = oldest, upto do
  local entry, time, fields = entries['0-' .. position]
  if entry then
    time, fields = fields_of(entry)
  else
    time, fields = first_state_of(room, position)
  end
  if older > 0 and tonumber(time or 0) >= older then
    upto = position - 1
    break
  end
  local intact, post = pcall(cmsgpack.unpack, fields)
  if intact and type(post) == 'table' and post[3] and post[4] then
    keys[#keys + 1] = post[3] .. post[4]
  end
  positions[#positions + 1] = position
end
if #positions > 0 then
  -- The feed first: it is what can fail, if this is not the life that it is in.
  local life = redis.call('HGET', '{gc}:life', 'life')
  redis.call('XADD', '{gc}:feed', life .. '-*', 'x', cmsgpack.pack({room, upto + 1}))
  redis.call('HSET', '{gc}:oldest', room, upto + 1)
  if #keys > 0 then
    redis.call('HDEL', key('keys', room), unpack(keys))
  end
  redis.call('ZREM', key('order', room), unpack(positions))
  redis.call('HDEL', key('changed', room), unpack(positions))
  redis.call('HDEL', key('moved', room), unpack(positions))
  redis.call('XTRIM', key('room', room), 'MINID', '=', '0-' .. (upto + 1))
end
return {#positions, top - upto}
