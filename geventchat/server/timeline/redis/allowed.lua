#!lua flags=no-writes
-- Gives the first command of some that this user may not run on our keys or channels, or false.
local arguments = {XREAD = {'STREAMS', '{gc}:feed', '0'}, EXISTS = {'{gc}:feed'}, TIME = {},
  PUBLISH = {'{gc}:live:0', 'a'}, SUBSCRIBE = {'{gc}:live:0'}}
for _, command in ipairs({'XADD', 'XREAD', 'HSET', 'ZADD', 'EXISTS', 'TIME', 'PUBLISH', 'SUBSCRIBE'}) do
  local rest = arguments[command] or {'{gc}:feed', '*', 'a', 'b'}
  if not redis.acl_check_cmd(command, unpack(rest)) then
    return command
  end
end
return false
