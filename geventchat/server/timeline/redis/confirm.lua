#!lua flags=allow-oom
-- Settles whether a life goes on in an engine, which may be another process than before.
-- ARGV: node, life, epoch, the engine's run_id, 1 if a process that was started again has all that
-- was ever seen, 1 if the node has waited for others long enough, an epoch for a new life, the
-- newest entry of the feed that the node knows, whose it is and its turn (see life.py), and all
-- nodes that it knows. Gives what follows.
--
-- In another process the life goes on if every node finds the newest entry that it knows: those
-- that ask, and all that they know of. Until then nobody stores or hears.
-- include posts.lua
-- include lives.lua
local WAIT, GOES_ON, ENDED, FENCED = 0, 1, 2, 3
local node, life, epoch, run, whole, waited, new, place, by, turn = unpack(ARGV)
local stored = redis.call('HMGET', '{gc}:life', 'life', 'epoch', 'run')
if stored[1] ~= life or stored[2] ~= epoch then
  return ENDED
end
local has_lease = redis.call('HEXISTS', '{gc}:leases', node) == 1
if stored[3] == run and not has_lease then
  return FENCED
end

-- Whether the newest entry that this node knows is here.
local function is_here()
  local entry = redis.call('XRANGE', '{gc}:feed', place, place)[1]
  if not entry or by == '' then
    return entry ~= nil
  end
  local fields = {}
  for at = 1, #entry[2], 2 do
    fields[entry[2][at]] = entry[2][at + 1]
  end
  local known = fields.n or fields.h or fields.g or fields.d or fields.q or fields.x or ''
  return known == by and (fields.t or '') == turn
end

local here = is_here()
if stored[3] == run and here then
  return GOES_ON
end
local goes_on = here and stored[3] ~= run and whole == '1'
local complete = true
if goes_on then
  if has_lease then  -- it waits, and does not beat; a new node must not believe it dead
    redis.call('HSET', '{gc}:leases', node, now_ms() + LEASE_MS)
  end
  redis.call('HSET', '{gc}:shown', node, cmsgpack.pack({run, {unpack(ARGV, 11)}}))
  local shown, known = {}, {[node] = true}
  local all = redis.call('HGETALL', '{gc}:shown')
  for at = 1, #all, 2 do
    local said = cmsgpack.unpack(all[at + 1])
    if said[1] == run then
      shown[all[at]] = true
      for _, other in ipairs(said[2]) do
        known[other] = true
      end
    end
  end
  for other in pairs(known) do
    complete = complete and shown[other]
  end
  if complete then
    local now = now_ms()
    for other in pairs(shown) do
      if redis.call('HEXISTS', '{gc}:leases', other) == 1 then
        redis.call('HSET', '{gc}:leases', other, now + LEASE_MS)
      end
    end
    redis.call('HSET', '{gc}:life', 'run', run, 'beaten', now)
    redis.call('DEL', '{gc}:shown')
    return has_lease and GOES_ON or FENCED
  end
  if waited ~= '1' then
    return WAIT
  end
end
begin_life(new_life(life), new, run)
return ENDED
