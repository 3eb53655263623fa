#!lua flags=no-writes
-- The posts of a room from one position to another, upwards (step 1) or downwards (step -1).
-- ARGV: room, first, last, step, bytes. Gives the room's oldest position, the position of a post
-- that is missing or damaged (0: none is), and of each post before it its time and fields, or false
-- and its latest change. At most 200, and more than so many bytes only if it is one.
-- include posts.lua
local MOST, CHUNK = 200, 20
local room, step, bytes = ARGV[1], tonumber(ARGV[4]), tonumber(ARGV[5])
local at, last, oldest = tonumber(ARGV[2]), tonumber(ARGV[3]), oldest_of(room)
if step > 0 then
  at = math.max(at, oldest)
else
  last = math.max(last, oldest)
end
local stream, changed = key('room', room), key('changed', room)
local read = step > 0 and 'XRANGE' or 'XREVRANGE'
local has_changes = redis.call('EXISTS', changed) == 1
local page, size, count = {oldest, 0}, 0, 0

local function missing(position)
  page[2] = position
  return page
end

while (last - at) * step >= 0 and count < MOST do
  local to = at + step * (CHUNK - 1)
  if (last - to) * step < 0 then
    to = last
  end
  local changes = {}
  if has_changes then
    local positions = {}
    for position = at, to, step do
      positions[#positions + 1] = position
    end
    changes = redis.call('HMGET', changed, unpack(positions))
  end
  local entries, place = redis.call(read, stream, '0-' .. at, '0-' .. to), 1
  for position = at, to, step do
    local entry, time, fields = entries[place], false, changes[math.abs(position - at) + 1]
    if entry and entry[1] == '0-' .. position then
      place = place + 1
      if not fields then
        time, fields = fields_of(entry)
      end
    elseif not fields then
      time, fields = moved_of(room, position)
    end
    if not fields then
      return missing(position)
    end
    size = size + #fields
    if count > 0 and size > bytes then
      return page
    end
    page[#page + 1] = time
    page[#page + 1] = fields
    count = count + 1
  end
  at = to + step
end
return page
