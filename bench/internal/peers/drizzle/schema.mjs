// The tables as the ServerCN page "Auth Domain (MySQL)" declares them for Drizzle, with one repair: MySQL refuses its
// index on a TEXT column (error 1170), so refresh_tokens.token_hash is a varchar(255) here.
import {
	boolean, datetime, index, int, json, mysqlEnum, mysqlTable, timestamp, uniqueIndex, varchar,
} from "drizzle-orm/mysql-core";

const id = () => int("id").primaryKey().autoincrement();
const no = (column) => boolean(column).default(false).notNull();
const times = {
	createdAt: timestamp("created_at").defaultNow().notNull(),
	updatedAt: timestamp("updated_at").defaultNow().onUpdateNow().notNull(),
};
const owner = () => int("user_id").references(() => users.id, { onDelete: "cascade" }).notNull();

export const users = mysqlTable("users", {
	id: id(),
	name: varchar("name", { length: 100 }).notNull(),
	email: varchar("email", { length: 255 }).notNull().unique(),
	password: varchar("password", { length: 255 }),
	role: mysqlEnum("role", ["user", "admin"]).default("user").notNull(),
	provider: mysqlEnum("provider", ["local", "google", "github"]).default("local").notNull(),
	providerId: varchar("provider_id", { length: 255 }),
	avatar: json("avatar"),
	isEmailVerified: no("is_email_verified"),
	lastLoginAt: timestamp("last_login_at"),
	failedLoginAttempts: int("failed_login_attempts").default(0).notNull(),
	lockUntil: timestamp("lock_until"),
	isDeleted: no("is_deleted"),
	deletedAt: timestamp("deleted_at"),
	reActivateAvailableAt: timestamp("re_activate_available_at"),
	suspendedUntil: datetime("suspended_until"),
	...times,
}, (t) => [
	uniqueIndex("email_idx").on(t.email),
	index("role_idx").on(t.role),
	index("is_deleted_idx").on(t.isDeleted),
]);

export const otps = mysqlTable("otps", {
	id: id(),
	email: varchar("email", { length: 255 }).notNull(),
	otpHashCode: varchar("otp_hash_code", { length: 255 }).notNull(),
	nextResendAllowedAt: timestamp("next_resend_allowed_at").notNull(),
	type: mysqlEnum("type", ["signin", "email-verification", "password-reset", "password-change"]).notNull(),
	expiresAt: timestamp("expires_at").notNull(),
	isUsed: no("is_used"),
	usedAt: timestamp("used_at"),
	attempts: int("attempts").default(0).notNull(),
	maxAttempts: int("max_attempts").default(5).notNull(),
	...times,
}, (t) => [
	index("email_type_idx").on(t.email, t.type),
	index("expires_at_idx").on(t.expiresAt),
	index("is_used_idx").on(t.isUsed),
]);

export const sessions = mysqlTable("sessions", {
	id: id(),
	userId: owner(),
	tokenHash: varchar("token_hash", { length: 255 }).notNull().unique(),
	ip: varchar("ip", { length: 45 }),
	userAgent: varchar("user_agent", { length: 255 }),
	isActive: boolean("is_active").default(true).notNull(),
	lastUsedAt: timestamp("last_used_at").defaultNow().notNull(),
	expiresAt: timestamp("expires_at").notNull(),
	...times,
}, (t) => [
	index("userId_idx").on(t.userId),
	index("tokenHash_idx").on(t.tokenHash),
	index("isActive_idx").on(t.isActive),
]);

export const refreshTokens = mysqlTable("refresh_tokens", {
	id: id(),
	userId: owner(),
	tokenHash: varchar("token_hash", { length: 255 }).notNull(),
	expiresAt: timestamp("expires_at").notNull(),
	isRevoked: no("is_revoked"),
	revokedAt: timestamp("revoked_at"),
	replacedByTokenHash: varchar("replaced_by_token_hash", { length: 255 }),
	...times,
}, (t) => [
	index("user_id_idx").on(t.userId),
	index("token_hash_idx").on(t.tokenHash),
	index("is_revoked_idx").on(t.isRevoked),
	index("expires_at_idx").on(t.expiresAt),
]);
