-- The shape in which Laravel's migrations make tables of SQLite.
CREATE TABLE "users" ("id" integer primary key autoincrement not null, "name" varchar not null, "email" varchar not null, "email_verified_at" datetime,
  "kind" varchar check ("kind" in ('one', 'two')) not null default 'one', "amount" numeric not null default '0', "meta" text);
CREATE UNIQUE INDEX "users_email_unique" on "users" ("email");
CREATE TABLE "sessions" ("id" varchar not null, "user_id" integer, "payload" text not null, "last_activity" integer not null, primary key ("id"));
CREATE INDEX "sessions_user_id_index" on "sessions" ("user_id");
