-- Lives, and the leases of the nodes in them, for the scripts that change these. Needs posts.lua.
local LEASE_MS, QUIET_MS = 5000, 2000

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

-- Begins a life, in which no node has a lease yet.
local function begin_life(life, epoch, run)
  redis.call('DEL', '{gc}:leases', '{gc}:knows', '{gc}:shown', '{gc}:nodes')
  redis.call('HSET', '{gc}:life', 'life', string.format('%.0f', life), 'epoch', epoch, 'run', run,
    'format', 1)
end

-- Gives a node its lease. Gives the id of the entry that tells of it.
local function join(life, node)
  local now = now_ms()
  -- The feed first: it is what can fail.
  local entry = redis.call('XADD', '{gc}:feed', string.format('%.0f-*', life), 'h', node)
  redis.call('HSET', '{gc}:leases', node, now + LEASE_MS)
  redis.call('HSET', '{gc}:knows', node, entry)
  redis.call('HSET', '{gc}:life', 'beaten', now)
  return entry
end

-- Ends the lease of a node, and deletes what only that node needs; the feed tells.
local function remove(life, node)
  redis.call('XADD', '{gc}:feed', string.format('%.0f-*', life), 'g', node)
  redis.call('HDEL', '{gc}:leases', node)
  redis.call('HDEL', '{gc}:knows', node)
  redis.call('HDEL', '{gc}:nodes', node, node .. '/keep', node .. '/decide', node .. '/claims')
  redis.call('UNLINK', '{gc}:part:' .. node)
end

-- The nodes that live but for this one, whose lease is left alone. Those whose lease has ended are
-- removed, as are those that have ended for sure. If nobody beat for long the engine was away, or
-- nobody ran: that time counts for no lease.
local function others(life, node, gone)
  local now, ended, living = now_ms(), {}, {}
  local gap = now - tonumber(redis.call('HGET', '{gc}:life', 'beaten') or now)
  gap = gap > QUIET_MS and gap or 0
  for _, each in ipairs(gone) do
    ended[each] = true
  end
  local leases = redis.call('HGETALL', '{gc}:leases')
  for place = 1, #leases, 2 do
    local other, stored = leases[place], tonumber(leases[place + 1])
    if other ~= node then
      local lease = math.min(stored + gap, now + LEASE_MS)  -- a clock may have been set back
      if ended[other] or lease <= now then
        remove(life, other)
      else
        living[#living + 1] = other
        if lease ~= stored then
          redis.call('HSET', '{gc}:leases', other, lease)
        end
      end
    end
  end
  redis.call('HSET', '{gc}:life', 'beaten', now)
  return living
end
