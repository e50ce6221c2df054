import { relations } from "drizzle-orm";
import { boolean, index, int, json, mysqlEnum, mysqlTable, timestamp, uniqueIndex, varchar } from "drizzle-orm/mysql-core";

import { timestamps } from "./helper";
import { refreshTokens } from "./refresh-token";
import { sessions } from "./session";

export interface IAvatar {
  public_id?: string;
  url: string;
  size?: number;
}

export const users = mysqlTable(
  "users",
  {
    id: int("id").primaryKey().autoincrement(),
    name: varchar("name", { length: 100 }).notNull(),
    email: varchar("email", { length: 255 }).notNull().unique(),
    password: varchar("password", { length: 255 }),
    role: mysqlEnum("role", ["user", "admin"]).default("user").notNull(),
    provider: mysqlEnum("provider", ["local", "google", "github"]).default("local").notNull(),
    providerId: varchar("provider_id", { length: 255 }),
    avatar: json("avatar").$type<IAvatar>(),
    isEmailVerified: boolean("is_email_verified").default(false).notNull(),
    lastLoginAt: timestamp("last_login_at"),
    failedLoginAttempts: int("failed_login_attempts").default(0).notNull(),
    lockUntil: timestamp("lock_until"),
    isDeleted: boolean("is_deleted").default(false).notNull(),
    deletedAt: timestamp("deleted_at"),
    reActivateAvailableAt: timestamp("re_activate_available_at"),
    ...timestamps,
  },
  (t) => [uniqueIndex("email_idx").on(t.email), index("role_idx").on(t.role), index("is_deleted_idx").on(t.isDeleted)],
);

export const usersRelations = relations(users, ({ many }) => ({
  refreshTokens: many(refreshTokens),
  sessions: many(sessions),
}));
