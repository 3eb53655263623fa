#!lua flags=no-writes
-- The first rooms from a name on, with their newest posts.
-- ARGV: prefix, low, most. Gives of each its name, newest position, and the time of that post,
-- 0 if it is not stored. A damaged room is one without posts.
-- include posts.lua
local function newest(room)
  local top = top_of(room)
  return {top, (first_state_of(room, top))}
end
local found = {}
for _, room in ipairs(names_in('{gc}:rooms', ARGV[1], ARGV[2], ARGV[3])) do
  local whole, post = pcall(newest, room)
  found[#found + 1] = room
  found[#found + 1] = whole and post[1] or 0
  found[#found + 1] = whole and post[2] or 0
end
return found
