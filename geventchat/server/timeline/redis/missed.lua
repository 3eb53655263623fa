#!lua flags=no-writes
-- After which number a client has to be told all changes, and how many of these are of posts up to
-- a position; 2,000 are looked at.
-- ARGV: room, position, change (-1: the newest that was made before the position was the newest),
-- after: the number of the last that was looked at, most. Gives that number, the count, and the
-- number of the last that was looked at, 0: of all.
-- include posts.lua
local LOOKS = 2000
local room, position, change = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local after, most, order = tonumber(ARGV[4]), tonumber(ARGV[5]), key('order', room)
if change < 0 then
  -- The newest positions at the time of the changes grow with their numbers.
  local low, high = 0, redis.call('ZCARD', order)
  while low < high do
    local middle = math.floor((low + high) / 2)
    local at = redis.call('ZRANGE', order, middle, middle)[1]
    local found = redis.call('HGET', key('changed', room), at)
    if not found then
      damaged(room, 'a change at position ' .. at)
    end
    if cmsgpack.unpack(found)[2] < position then
      low = middle + 1
    else
      high = middle
    end
  end
  local first = redis.call('ZRANGE', order, low, low, 'WITHSCORES')
  change = first[2] and tonumber(first[2]) - 1
    or tonumber(redis.call('HGET', '{gc}:changes', room) or 0)
end
local looked = redis.call('ZRANGEBYSCORE', order, '(' .. math.max(change, after), '+inf',
  'WITHSCORES', 'LIMIT', 0, LOOKS)
local count = 0
for place = 1, #looked, 2 do
  if tonumber(looked[place]) <= position then
    count = count + 1
    if count > most then
      break
    end
  end
end
return {change, count, #looked == 2 * LOOKS and looked[#looked] or 0}
