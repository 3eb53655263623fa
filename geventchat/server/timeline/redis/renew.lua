#!lua flags=allow-oom
-- Ends a life, in which only this node stores: another has begun when this returns 1.
-- ARGV: node, the life, an epoch for the new one, the engine's run_id. Gives 0 if others store in it.
-- include posts.lua
-- include lives.lua
local node, ended, epoch, run = unpack(ARGV)
local stored = redis.call('HMGET', '{gc}:life', 'life', 'epoch')
if not stored[2] or stored[1] == ended then
  if stored[2] and #others(ended, node, {}) > 0 then
    return 0
  end
  begin_life(new_life(math.max(tonumber(stored[1] or 0), tonumber(ended))), epoch, run)
end
return 1
