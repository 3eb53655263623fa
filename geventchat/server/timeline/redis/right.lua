-- The right to decide, for the scripts that ask for it and give it back. {gc}:deciding has the asks
-- in their order: "<life> <node> <number>". The first has the right, the others wait.

-- The ask of a node that one script is about, and the last number that it has given back.
local function ask_of(node, life, number)
  local given_back = redis.call('HGET', '{gc}:nodes', node .. '/decide')
  return life .. ' ' .. node .. ' ' .. number, tonumber(given_back or 0)
end

-- Removes an ask, those of nodes that are gone and those of lives that have ended. Tells in the
-- feed whose turn it is now, if that changes, and whether others wait. Gives the asks.
local function asks(life, removed)
  local before = redis.call('LRANGE', '{gc}:deciding', 0, -1)
  local left = {}
  for _, ask in ipairs(before) do
    local of, node = string.match(ask, '^(%S+) (%S+) ')
    if ask ~= removed and of == life and redis.call('HEXISTS', '{gc}:leases', node) == 1 then
      left[#left + 1] = ask
    else
      redis.call('LREM', '{gc}:deciding', 1, ask)
    end
  end
  if left[1] and left[1] ~= before[1] then
    redis.call('XADD', '{gc}:feed', life .. '-*', 'd', left[1], 'w', #left - 1)
  end
  return left
end
