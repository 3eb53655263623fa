// What the server sends and accepts: docs/protocol.md as types. Only the type checker reads this.

export type Post = {
  type: "post"; room: string; position: number; author: string; time: number; text: string;
  key?: string;
};
export type Joined = {
  type: "joined"; room: string; epoch: string; position: number; oldest: number;
  recovered: boolean | null; count: number; topic?: string; id?: string;
};
export type Welcome = {
  type: "welcome"; version: number; nonce?: string; nick: string; server: string;
  features: string[]; ping_seconds: number;
  limits: { frame_bytes: number; rooms: number; nick_length: number };
};
export type Sent = {
  type: "sent"; room?: string; key?: string; position?: number; to?: string; id?: string;
};
export type Presence = {
  type: "presence"; room: string; nick?: string; event?: "join" | "leave" | "rename";
  new_nick?: string; count?: number;
};
export type Members = { type: "members"; room: string; nicks: string[]; count: number; id?: string };
export type History = { type: "history"; room: string; posts: Post[]; complete: boolean; id?: string };
export type Left = { type: "left"; room: string; reason?: string; id?: string };
export type Renamed = { type: "renamed"; nick: string; id?: string };
export type Topic = { type: "topic"; room: string; topic: string; by: string; id?: string };
export type Typing = { type: "typing"; room: string; nick: string };
export type Direct = { type: "direct"; author: string; text: string; time: number };
export type ListedRoom = { name: string; topic?: string; members: number; position: number };
export type Rooms = { type: "rooms"; rooms: ListedRoom[]; next?: string; id?: string };
export type Rule = {
  action: string; target_type: string; target: string; operator: string; time: number;
  until?: number; reason?: string;
};
export type Admin = {
  type: "admin"; action: string; rules: Rule[]; connections_closed: number; total: number;
  id?: string;
};
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
  | Direct | Rooms | Admin | Pong | Ping | ServerError | Bye;

/** The answer to each request that has one, by the request's type. */
export type Answers = {
  join: Joined; leave: Left; nick: Renamed; who: Members; history: History; direct: Sent;
  topic: Topic; rooms: Rooms; admin: Admin; ping: Pong;
};

/** A message that is not acknowledged yet. */
export type Say = { room: string; text: string; key: string };

export type Cursor = { epoch: string; position: number };
export type Cursors = Record<string, Cursor | null>;

export type Hello = { nick?: string; password?: string; token?: string };

/** What a connection says about itself, beside what the server says. */
export type ConnectionEvent =
  | { type: "connecting" }
  | { type: "disconnected"; bye: Bye }
  | { type: "failed"; why: string; seconds: number }
  | { type: "ended"; bye: Bye }
  | { type: "silent" }
  | { type: "heard" }
  | { type: "gap"; room: string }
  | { type: "refused"; error: ServerError; say: Say };

export type ClientEvent = ServerEvent | ConnectionEvent;
