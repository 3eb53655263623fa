#!lua flags=allow-oom
-- Begins a new life of the store, unless another node stores by now.
-- ARGV: node, the life that has ended, the new epoch, the engine's run_id, a node that has ended.
-- Gives the new life and the id of its first entry; nothing if it is another's.
-- include posts.lua
-- include lives.lua
local node, life, epoch, run, ended = unpack(ARGV)
local stored = redis.call('HMGET', '{gc}:life', 'life', 'node')
if stored[2] and stored[2] ~= node and stored[2] ~= ended then
  return false
end
life = math.max(tonumber(life) + 1, new_life(stored[1]))
return {life, live(node, life, epoch, run)}
