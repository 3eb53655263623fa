#!lua flags=allow-oom
-- Makes a node the one that stores, if none does.
-- ARGV: node, the engine's run_id, an epoch for a new life, the node that has ended for sure,
-- 1 if another run_id is a new life. Gives the life, the epoch and the id of the entry that tells
-- of the node; or the node that stores, and for how many ms it does for sure.
-- include posts.lua
-- include lives.lua
local node, run, ended, renews = ARGV[1], ARGV[2], ARGV[4], ARGV[5] == '1'
if redis.call('EXISTS', '{gc}:import') == 1 then
  return redis.error_reply(
    'IMPORT an import into it did not end; run geventchat history import again')
end
local stored = redis.call('HMGET', '{gc}:life', 'life', 'epoch', 'node', 'lease', 'run')
local life, epoch, former, lease = tonumber(stored[1]), stored[2], stored[3], tonumber(stored[4])
local left = (lease or 0) - now_ms()
if former and former ~= node and former ~= ended and left > 0 then
  return {former, left}
end
if not epoch or (stored[5] ~= run and renews) then
  life, epoch = new_life(life), ARGV[3]
end
local entry = live(node, life, epoch, run)
if former ~= node then
  redis.call('DEL', '{gc}:nodes')  -- the last answers of nodes that store nothing any more
end
return {life, epoch, entry}
