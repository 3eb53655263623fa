#!lua flags=no-writes
-- The posts of a room at some positions.
-- ARGV: room, bytes, positions. Gives of each its time and fields, or false and its latest change,
-- or twice false if it is not stored. More than so many bytes only if it is one.
-- include posts.lua
local room, bytes, size, found = ARGV[1], tonumber(ARGV[2]), 0, {}
for place = 3, #ARGV do
  local time, fields = stored(room, tonumber(ARGV[place]))
  size = size + #(fields or '')
  if #found > 0 and size > bytes then
    return found
  end
  found[#found + 1] = time or false
  found[#found + 1] = fields or false
end
return found
