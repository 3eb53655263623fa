#!lua flags=no-writes
-- The numbers of the parts of some nodes. ARGV: node, life, nodes. Gives one for each; 0: none.
-- include fence.lua
fence(ARGV[1], ARGV[2])
local numbers = {}
for place = 3, #ARGV do
  numbers[place - 2] = tonumber(redis.call('HGET', '{gc}:part:' .. ARGV[place], '') or 0)
end
return numbers
