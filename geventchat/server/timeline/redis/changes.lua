#!lua flags=no-writes
-- The latest changes of posts up to a position, in the order of their numbers.
-- ARGV: room, after, position, bytes. Gives the number up to which there is no other, and of each
-- change the position of its post and what is stored of it. At most 200, of 1,000 that are looked
-- at, and more than so many bytes only if it is one.
-- include posts.lua
local MOST, LOOKS = 200, 1000
local room, position, bytes = ARGV[1], tonumber(ARGV[3]), tonumber(ARGV[4])
local upto = tonumber(redis.call('HGET', '{gc}:changes', room) or 0)
local changed, size = key('changed', room), 0
local order = redis.call(
  'ZRANGEBYSCORE', key('order', room), '(' .. ARGV[2], '+inf', 'WITHSCORES', 'LIMIT', 0, LOOKS)
local page = {upto}
for place = 1, #order, 2 do
  if tonumber(order[place]) <= position then
    local change = redis.call('HGET', changed, order[place])
    if not change then
      damaged(room, 'change ' .. order[place + 1])
    end
    size = size + #change
    if #page > 1 and (size > bytes or #page > 2 * MOST) then
      page[1] = order[place - 1]
      return page
    end
    page[#page + 1] = order[place]
    page[#page + 1] = change
  end
end
if #order == 2 * LOOKS then
  page[1] = order[#order]
end
return page
