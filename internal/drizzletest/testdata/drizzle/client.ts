// What a service does with the tables, through drizzle-orm: the same file runs before and after the
// adoption. The argument names the run; the last line is a JSON object of what was seen.
import assert from "node:assert/strict";

import { and, count, eq, inArray, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/mysql2";
import mysql from "mysql2/promise";

import * as schema from "./src/index";

const { users, sessions, refreshTokens, otps } = schema;
const run = process.argv[2]!;
const pool = mysql.createPool({ uri: process.env.DATABASE_URL!, timezone: "Z" });
const db = drizzle(pool, { schema, mode: "default" });
const later = new Date("2036-01-02T03:04:05Z");

// Insert: ids come from the database, defaults are filled in.
const email = (name: string) => `${name}.${run}@example.com`;
const [ada] = await db
  .insert(users)
  .values({ name: "Ada ☃", email: email("ada"), password: "$argon2id$" + run, role: "admin", avatar: { url: "https://example.com/ä.png", size: 7 } })
  .$returningId();
const [bob] = await db.insert(users).values({ name: "Bob", email: email("bob"), provider: "github", providerId: "gh-" + run }).$returningId();
assert.ok(Number.isInteger(ada!.id) && ada!.id > 0);
for (const id of [ada!.id, bob!.id]) {
  await db.insert(sessions).values([1, 2, 3].map((i) => ({ userId: id, tokenHash: `s${i}-${id}-${run}`, ip: "::1", userAgent: "Mozilla ☃", expiresAt: later })));
  await db.insert(refreshTokens).values([1, 2].map((i) => ({ userId: id, tokenHash: `r${i}-${id}-${run}`, expiresAt: later })));
}
await db.insert(otps).values({ email: email("ada"), otpHashCode: "c0de" + run, type: "password-reset", expiresAt: later, nextResendAllowedAt: later });

// Select: types and defaults are those the schema says.
const [seen] = await db.select().from(users).where(eq(users.email, email("ada")));
assert.equal(seen!.id, ada!.id);
assert.equal(seen!.name, "Ada ☃");
assert.equal(seen!.provider, "local");
assert.equal(seen!.isEmailVerified, false);
assert.equal(seen!.failedLoginAttempts, 0);
assert.ok(seen!.createdAt instanceof Date && Math.abs(seen!.createdAt.getTime() - Date.now()) < 3_600_000);
assert.deepEqual(typeof seen!.avatar === "string" ? JSON.parse(seen!.avatar) : seen!.avatar, { url: "https://example.com/ä.png", size: 7 });
const [code] = await db.select().from(otps).where(and(eq(otps.email, email("ada")), eq(otps.type, "password-reset"), eq(otps.isUsed, false)));
assert.equal(code!.maxAttempts, 5);
assert.equal(code!.expiresAt.getTime(), later.getTime());

// Update, also by an expression, and a conditional one that counts.
await db.update(users).set({ lastLoginAt: later, isEmailVerified: true }).where(eq(users.id, ada!.id));
await db.update(otps).set({ attempts: sql`${otps.attempts} + 1` }).where(eq(otps.id, code!.id));
const rotated = await db
  .update(refreshTokens)
  .set({ isRevoked: true, revokedAt: later, replacedByTokenHash: `r2-${ada!.id}-${run}` })
  .where(and(eq(refreshTokens.tokenHash, `r1-${ada!.id}-${run}`), eq(refreshTokens.isRevoked, false)));
assert.equal(rotated[0].affectedRows, 1);
const [again] = await db.select().from(users).where(eq(users.id, ada!.id));
assert.equal(again!.lastLoginAt!.getTime(), later.getTime());

// Relations: by a join everywhere; by Drizzle's relational query where the server has LATERAL, which MariaDB has not.
const joined = await db
  .select({ token: sessions.tokenHash, name: users.name })
  .from(sessions)
  .innerJoin(users, eq(sessions.userId, users.id))
  .where(and(eq(users.id, ada!.id), eq(sessions.isActive, true)));
assert.equal(joined.length, 3);
const lateral = !process.env.WITHOUT_LATERAL;
if (lateral) {
  const whole = await db.query.users.findFirst({ where: eq(users.id, ada!.id), with: { sessions: true, refreshTokens: true } });
  assert.equal(whole!.sessions.length, 3);
  assert.equal(whole!.refreshTokens.length, 2);
  const one = await db.query.sessions.findFirst({ where: eq(sessions.tokenHash, `s1-${ada!.id}-${run}`), with: { user: true } });
  assert.equal(one!.user.email, email("ada"));
} else {
  await assert.rejects(db.query.users.findFirst({ with: { sessions: true } }));
}

// A second row with one address or one session's hash is refused.
await assert.rejects(db.insert(users).values({ name: "Eve", email: email("ada") }));
await assert.rejects(db.insert(sessions).values({ userId: ada!.id, tokenHash: `s1-${ada!.id}-${run}`, expiresAt: later }));

// Deleting a user deletes what is theirs.
await db.delete(users).where(eq(users.id, bob!.id));
const [left] = await db.select({ n: count() }).from(sessions).where(eq(sessions.userId, bob!.id));
assert.equal(left!.n, 0);
const [tokens] = await db.select({ n: count() }).from(refreshTokens).where(inArray(refreshTokens.userId, [bob!.id]));
assert.equal(tokens!.n, 0);

console.log(JSON.stringify({ run, ada: ada!.id, joined: joined.length, lateral }));
await pool.end();
