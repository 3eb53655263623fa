-- Ends the script with an error unless this node is the registered one, in this life.
local function fence(node, life)
  local registered = redis.call('HMGET', '{gc}:life', 'node', 'life')
  if registered[1] ~= node or registered[2] ~= life then
    error({err = 'FENCED this node is not registered any more'})
  end
end
