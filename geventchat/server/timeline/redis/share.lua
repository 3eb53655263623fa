#!lua flags=allow-oom
-- Changes the part of a node, if it has the lease, and tells the other nodes.
-- ARGV: node, life, channel, number, 1 if this is the whole part, the message (empty: none), msgpack
-- of the fields to set with their values, msgpack of the fields to delete.
-- Number 0 changes nothing. Each other number is one more than the last: gives the last that the
-- part has now; if that is another, the part lacks something, and the whole has to be written.
-- include fence.lua
fence(ARGV[1], ARGV[2])
local part, number = '{gc}:part:' .. ARGV[1], tonumber(ARGV[4])
if number > 0 then
  local last = tonumber(redis.call('HGET', part, '') or 0)
  if ARGV[5] == '1' then
    redis.call('UNLINK', part)
  elseif number ~= last + 1 then
    return last
  end
  local set, delete = cmsgpack.unpack(ARGV[7]), cmsgpack.unpack(ARGV[8])
  for first = 1, #delete, 1000 do
    redis.call('HDEL', part, unpack(delete, first, math.min(first + 999, #delete)))
  end
  for first = 1, #set, 1000 do
    redis.call('HSET', part, unpack(set, first, math.min(first + 999, #set)))
  end
  redis.call('HSET', part, '', number)
end
if ARGV[6] ~= '' then
  redis.call('PUBLISH', ARGV[3], ARGV[6])
end
return number
