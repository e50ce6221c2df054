-- The shape in which Better Auth makes tables of SQLite.
create table "user" ("id" text not null primary key, "name" text not null, "email" text not null unique, "emailVerified" integer not null,
  "image" text, "createdAt" date default CURRENT_TIMESTAMP not null);
create table "session" ("id" text not null primary key, "token" text not null unique, "userId" text not null references "user" ("id") on delete cascade);
create index "session_userId_idx" on "session" ("userId");
