#!lua flags=allow-oom
-- Makes a node one of those that store.
-- ARGV: node, the engine's run_id, an epoch for a new life, 1 if another run_id is a new life,
-- 1 if it wants to be alone, the number of the last life that it knows, nodes that have ended for
-- sure. Gives 1, the life, the epoch, the id of the entry that tells of the node, and the others
-- that live; or 0 and those others, if the node has to wait for them.
-- include posts.lua
-- include lives.lua
local node, run, epoch, renews, alone, former = unpack(ARGV)
if redis.call('EXISTS', '{gc}:import') == 1 then
  return redis.error_reply(
    'IMPORT an import into it did not end; run geventchat history import again')
end
local stored = redis.call('HMGET', '{gc}:life', 'life', 'epoch', 'run', 'alone')
local life, known = tonumber(stored[1]), stored[2]
local settled = known and stored[3] == run
local gone = {}
for place = 7, #ARGV do
  gone[#gone + 1] = ARGV[place]
end
local living = known and others(life, node, gone) or {}
if #living > 0 then
  local wait = not settled or alone == '1' or redis.call('EXISTS', '{gc}:feed') == 0
  for _, other in ipairs(living) do
    wait = wait or other == stored[4]
  end
  if wait then
    return {0, unpack(living)}
  end
elseif not known or (not settled and renews == '1') then
  life = new_life(math.max(life or 0, tonumber(former)))
  known = epoch
  begin_life(life, epoch, run)
elseif redis.call('HEXISTS', '{gc}:leases', node) == 0 then
  begin_life(life, known, run)  -- the same: nobody is there who has heard anything in it
end
if alone == '1' then
  redis.call('HSET', '{gc}:life', 'alone', node)
end
return {1, life, known, join(life, node), unpack(living)}
