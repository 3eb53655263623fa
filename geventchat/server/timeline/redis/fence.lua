-- Ends the script with an error unless this node has a lease, in this life.
local function fence(node, life)
  if redis.call('HGET', '{gc}:life', 'life') ~= life
    or redis.call('HEXISTS', '{gc}:leases', node) == 0 then
    error({err = 'FENCED this node has no lease any more'})
  end
end
