#!lua flags=no-writes
-- The first listed rooms from a name on that have a topic.
-- ARGV: prefix, low, most. Gives of each its name, topic and newest position.
-- include posts.lua
local found = {}
for _, room in ipairs(names_in('{gc}:listed', ARGV[1], ARGV[2], ARGV[3])) do
  local whole, top = pcall(top_of, room)
  found[#found + 1] = room
  found[#found + 1] = redis.call('HGET', '{gc}:topics', room) or ''
  found[#found + 1] = whole and top or 0
end
return found
