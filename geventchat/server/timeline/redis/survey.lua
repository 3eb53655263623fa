#!lua flags=no-writes
-- How much is stored of each of the first rooms from a name on.
-- ARGV: low, most, whether the ages of the posts matter (1). Gives the time, and of each room its
-- name, the number of its posts, and the time of the oldest. A damaged room is one without posts.
-- include posts.lua
local function look(room)
  local top, oldest = top_of(room), oldest_of(room)
  local old = top >= oldest and ARGV[3] == '1'
  return {top - oldest + 1, old and first_state_of(room, oldest) or 0}
end
local now = redis.call('TIME')
local found = {now[1] * 1000 + math.floor(now[2] / 1000)}
for _, room in ipairs(names_in('{gc}:rooms', '', ARGV[1], ARGV[2])) do
  local whole, state = pcall(look, room)
  found[#found + 1] = room
  found[#found + 1] = whole and state[1] or 0
  found[#found + 1] = whole and state[2] or 0
end
return found
