// What the server sends and accepts: docs/protocol.md as types. Only the type checker reads this.

export type Post = {
  type: "post"; room: string; position: number; author: string; time: number; text: string;
  key?: string; account?: string; change?: number; redacted?: boolean; hook?: boolean;
};
export type Person = { nick: string; account: string };
export type Joined = {
  type: "joined"; room: string; epoch: string; position: number; oldest: number;
  recovered: boolean | null; count: number; topic?: string; id?: string;
  private?: boolean; moderator?: boolean; with?: Person;
  change?: number; read?: number; unread?: number; mentions?: number;
};
export type Welcome = {
  type: "welcome"; version: number; nonce?: string; nick: string; server: string;
  features: string[]; ping_seconds: number;
  limits: { frame_bytes: number; rooms: number; nick_length: number };
  account?: string; session?: string;
};
export type Sent = {
  type: "sent"; room?: string; key?: string; position?: number; to?: string; stored?: boolean;
  id?: string;
};
export type Presence = {
  type: "presence"; room: string; nick?: string; event?: "join" | "leave" | "rename";
  new_nick?: string; count?: number; account?: string;
};
export type Members = { type: "members"; room: string; nicks: string[]; count: number; id?: string };
export type History = {
  type: "history"; room: string; posts: Post[]; complete: boolean; more?: boolean; id?: string;
};
export type Edited = {
  type: "edited"; room: string; position: number; change: number; text: string; by: string;
  account?: string; id?: string;
};
export type Redacted = {
  type: "redacted"; room: string; position: number; change: number; by: string; account?: string;
  id?: string;
};
export type Read = {
  type: "read"; room: string; position: number; unread?: number; mentions?: number; id?: string;
};
export type Found = {
  type: "found"; posts: Post[]; complete: boolean; before?: number; id?: string;
};
export type Left = { type: "left"; room: string; reason?: string; id?: string };
export type Renamed = { type: "renamed"; nick: string; id?: string };
export type Topic = { type: "topic"; room: string; topic: string; by: string; id?: string };
export type Typing = { type: "typing"; room: string; nick: string };
export type Direct = {
  type: "direct"; author: string; text: string; time: number; account?: string;
};
export type ListedRoom = { name: string; topic?: string; members: number; position: number };
export type Rooms = { type: "rooms"; rooms: ListedRoom[]; next?: string; id?: string };
export type Rule = {
  action: string; target_type: string; target: string; operator: string; time: number;
  until?: number; reason?: string;
};
export type Admin = {
  type: "admin"; action: string; rules: Rule[]; connections_closed: number; total: number;
  note?: string; id?: string;
};
export type SignedIn = {
  type: "signed_in"; nick: string; account: string; session: string; id?: string;
};
export type Session = {
  id: string; created: number; used: number; device?: string; connections?: number; current?: boolean;
};
export type Sessions = { type: "sessions"; sessions: Session[]; id?: string };
export type ListedConversation = {
  room: string; with: Person; position: number; read?: number; unread?: number; closed?: boolean;
};
export type Conversations = {
  type: "conversations"; conversations: ListedConversation[]; next?: string; id?: string;
};
export type Blocked = { type: "blocked"; blocked: Person[]; id?: string };
export type Invited = {
  type: "invited"; room: string; nick: string; account: string; by: string; id?: string;
};
export type Removed = { type: "removed"; room: string; nick: string; id?: string };
export type Moderators = { type: "moderators"; room: string; moderators: Person[]; id?: string };
export type Muted = {
  type: "muted"; room: string; nick: string; by: string; on: boolean; until?: number; id?: string;
};
export type Hook = { id: string; room: string; by: string; created: number; token?: string };
export type Hooks = { type: "hooks"; hooks: Hook[]; id?: string };
export type Pong = { type: "pong"; id?: string };
export type Ping = { type: "ping" };
export type ServerError = {
  type: "error"; code: string; text: string; room?: string; retry_ms?: number; key?: string;
  id?: string;
};
export type Bye = {
  type: "bye"; code: string; text: string; reconnect: boolean; after_ms: number;
};

export type ServerEvent =
  | Post | Joined | Welcome | Sent | Presence | Members | History | Left | Renamed | Topic | Typing
  | Direct | Rooms | Admin | SignedIn | Sessions | Conversations | Blocked | Invited | Removed
  | Moderators | Muted | Hooks | Edited | Redacted | Read | Found | Pong | Ping | ServerError | Bye;

/** The answer to each request that has one, by the request's type. */
export type Answers = {
  join: Joined; leave: Left; nick: Renamed; who: Members; history: History; direct: Sent;
  topic: Topic; rooms: Rooms; admin: Admin; ping: Pong;
  register: SignedIn; password: SignedIn; sessions: Sessions; revoke: Sessions; open: Joined;
  conversations: Conversations; block: Blocked; create: Joined; invite: Invited; remove: Removed;
  moderator: Moderators; mute: Muted; hook: Hooks; edit: Edited; redact: Redacted; read: Read; search: Found;
};

/** A message that is not acknowledged yet. */
export type Say = { room: string; text: string; key: string };

export type Cursor = { epoch: string; position: number; change?: number };
export type Cursors = Record<string, Cursor | null>;

/** What a hello signs in with. */
export type SignIn = { nick?: string; password?: string; register?: boolean; session?: string; device?: string };
export type Hello = { nick?: string; password?: string; token?: string; account?: SignIn };

/** What a connection says about itself, beside what the server says. */
export type ConnectionEvent =
  | { type: "connecting" }
  | { type: "disconnected"; bye: Bye }
  | { type: "failed"; why: string; seconds: number }
  | { type: "ended"; bye: Bye }
  | { type: "silent" }
  | { type: "heard" }
  | { type: "gap"; room: string }
  | { type: "waiting"; room: string; why: string }
  | { type: "refused"; error: ServerError; say: Say };

export type ClientEvent = ServerEvent | ConnectionEvent;
