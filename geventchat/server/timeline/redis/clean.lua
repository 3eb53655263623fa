#!lua flags=allow-oom
-- Takes a redacted text out of the engine's memory. XDEL only marks an entry; its bytes stay, also
-- in a rewritten AOF, until all entries of the stream's node are deleted. So those around it move.
-- ARGV: node, life, reach: the most entries that a node of a stream has. Gives how many redactions
-- are left to be cleaned, the time, and the times of the first and the last one that may still be
-- in the AOF, and when that was last asked to be rewritten; 0: never.
-- include fence.lua
-- include posts.lua
fence(ARGV[1], ARGV[2])
local now = redis.call('TIME')
now = now[1] * 1000 + math.floor(now[2] / 1000)
local mark = redis.call('LINDEX', '{gc}:remains', 0)
if mark then
  local room, position = unpack(cmsgpack.unpack(mark))
  local stream, reach = key('room', room), tonumber(ARGV[3]) - 1
  local low, high = math.max(position - reach, 1), position + reach
  local moved, emptied = {}, {}
  for _, entry in ipairs(redis.pcall('XRANGE', stream, '0-' .. low, '0-' .. high)) do
    local time, fields = fields_of(entry)
    if fields then
      moved[#moved + 1] = string.sub(entry[1], 3)
      moved[#moved + 1] = time .. ' ' .. fields
      emptied[#emptied + 1] = entry[1]
    end
  end
  if #emptied > 0 then
    redis.call('HSET', key('moved', room), unpack(moved))
    redis.call('XDEL', stream, unpack(emptied))
  end
  redis.call('LPOP', '{gc}:remains')
  redis.call('HSETNX', '{gc}:erase', 'first', now)
  redis.call('HSET', '{gc}:erase', 'last', now)
end
local times = redis.call('HMGET', '{gc}:erase', 'first', 'last', 'asked')
return {
  redis.call('LLEN', '{gc}:remains'), now,
  tonumber(times[1] or 0), tonumber(times[2] or 0), tonumber(times[3] or 0),
}
