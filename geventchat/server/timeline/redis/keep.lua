#!lua
-- Writes records, all or none. ARGV: node, life, number, msgpack of [kind, id, value|false]...
-- A number that is not above the node's last is a copy that was late: it changes nothing.
-- include fence.lua
fence(ARGV[1], ARGV[2])
local place = ARGV[1] .. '/keep'
if tonumber(ARGV[3]) <= tonumber(redis.call('HGET', '{gc}:nodes', place) or 0) then
  return 0
end
local records = cmsgpack.unpack(ARGV[4])
for _, record in ipairs(records) do
  redis.call('HLEN', '{gc}:records:' .. record[1])  -- a key of another type fails here, before all
end
for _, record in ipairs(records) do
  local kind, id, value = unpack(record)
  if value then
    redis.call('HSET', '{gc}:records:' .. kind, id, value)
  else
    redis.call('HDEL', '{gc}:records:' .. kind, id)
  end
end
redis.call('HSET', '{gc}:nodes', place, ARGV[3])
return 1
