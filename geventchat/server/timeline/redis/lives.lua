-- Lives and the node that stores in them, for the scripts that change that. Needs posts.lua.
local LEASE_MS = 5000

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The number of a new life: above all that there were, by what is stored and by the feed. And by the
-- clock, so that two engines that go on from the same state never begin the same one.
local function new_life(stored)
  local feed = info_of('{gc}:feed')
  local last = feed and string.match(feed['last-generated-id'], '^(%d+)') or 0
  return math.max(tonumber(stored or 0) + 1, tonumber(last) + 1, now_ms())
end

-- Lets a node store in a life from now on. Gives the id of the entry that tells of it.
local function live(node, life, epoch, run)
  -- The feed first: it is what can fail.
  local entry = redis.call('XADD', '{gc}:feed', string.format('%.0f-*', life), 'h', node)
  redis.call('HSET', '{gc}:life', 'life', life, 'epoch', epoch, 'node', node,
    'lease', now_ms() + LEASE_MS, 'run', run, 'format', 1)
  return entry
end
