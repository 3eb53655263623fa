#!lua flags=allow-oom
-- Gives the right to decide back, or an ask for it. ARGV: node, life, the number of the ask.
-- include fence.lua
-- include right.lua
local node, life, number = unpack(ARGV)
fence(node, life)
local ask, given_back = ask_of(node, life, number)
if tonumber(number) > given_back then
  redis.call('HSET', '{gc}:nodes', node .. '/decide', number)
end
asks(life, ask)
return 1
