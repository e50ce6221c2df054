// The operations of the benchmark with Drizzle on mysql2: a line of JSON on standard input is a round, the answer is one
// on standard output. Arguments: plain or prepared, the database's URL, the number of connections.
import { createHash, createHmac, randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { and, desc, eq, gt, lt, sql } from "drizzle-orm";
import { drizzle } from "drizzle-orm/mysql2";
import mysql from "mysql2/promise";
import { otps, refreshTokens, sessions, users } from "./schema.mjs";

const [mode, url, connections] = process.argv.slice(2);
const pool = mysql.createPool({ uri: url, connectionLimit: Number(connections), maxIdle: Number(connections), timezone: "Z" });
pool.pool.on("connection", (c) => c.query("SET time_zone = '+00:00'"));
const db = drizzle(pool);

const key = "a key of the benchmark, 32 bytes";
const idle = 30 * 24 * 3600 * 1000;
const hash = (token) => createHash("sha256").update(token).digest("hex");
const longestLock = 20 * 60 * 1000;
const usable = (u, now) => !u.isDeleted && !(u.suspendedUntil > now) && !(u.lockUntil - now > longestLock);
const refuse = (why) => { throw new Error(`refused: ${why}`); };

const queries = {
	check: (token) => db.select().from(sessions).innerJoin(users, eq(users.id, sessions.userId)).where(eq(sessions.tokenHash, token)),
	find: (email) => db.select().from(users).where(and(eq(users.email, email), eq(users.isDeleted, false))),
	code: (email) => db.select().from(otps).where(and(eq(otps.email, email), eq(otps.type, "signin"))).orderBy(desc(otps.id)).limit(1),
};
const run = {};
for (const [name, query] of Object.entries(queries)) {
	const ready = query(sql.placeholder("key")).prepare();
	run[name] = mode === "prepared" ? (k) => ready.execute({ key: k }) : query;
}

const operations = {
	async "session check"(k) {
		const [row] = await run.check(hash(k.Secret));
		if (!row) refuse("no session");
		const { sessions: s, users: u } = row, now = new Date();
		if (!s.isActive || s.expiresAt <= now || s.lastUsedAt - now + idle <= 0 || !usable(u, now)) refuse("not live");
		if (s.id !== k.Row + 1) throw new Error("the answer is not of this row");
	},
	async "sign-in read"(k) {
		const [u] = await run.find(k.Secret);
		if (u?.id !== k.Row + 1) throw new Error("the answer is not of this row");
	},
	async "OTP verify"(k) { // the ticket is the address here
		const email = `user${k.Row}@example.com`;
		const [row] = await run.code(email);
		const now = new Date();
		const right = createHmac("sha256", key).update(`signin\0${email}\0${hash(email)}\0${k.Secret}`).digest("hex") === row.otpHashCode;
		const [used] = await db.update(otps)
			.set({ attempts: sql`${otps.attempts} + 1`, isUsed: right, usedAt: right ? now : null })
			.where(and(eq(otps.id, row.id), eq(otps.isUsed, false), gt(otps.expiresAt, now), lt(otps.attempts, otps.maxAttempts)));
		if (!right || used.affectedRows !== 1) refuse("code");
	},
	async "refresh rotation"(k) {
		const old = hash(k.Secret), next = randomBytes(32).toString("base64url"), now = new Date();
		await db.transaction(async (tx) => {
			const [taken] = await tx.update(refreshTokens).set({ isRevoked: true, revokedAt: now, replacedByTokenHash: hash(next) })
				.where(and(eq(refreshTokens.tokenHash, old), eq(refreshTokens.isRevoked, false), gt(refreshTokens.expiresAt, now),
					gt(refreshTokens.createdAt, new Date(now - idle))));
			if (taken.affectedRows !== 1) refuse("no live token");
			const [{ refresh_tokens: t, users: u }] = await tx.select().from(refreshTokens)
				.innerJoin(users, eq(users.id, refreshTokens.userId)).where(eq(refreshTokens.tokenHash, old));
			if (!usable(u, now)) refuse("user");
			await tx.insert(refreshTokens).values({ userId: u.id, tokenHash: hash(next), expiresAt: t.expiresAt });
		});
		k.Next = next;
	},
};

async function round({ op, keys, workers, limit }) {
	const began = performance.now();
	let done = 0;
	await Promise.all(Array.from({ length: workers }, async (_, w) => {
		for (let i = w; i < keys.length && performance.now() - began < limit; i += workers) {
			await operations[op](keys[i]);
			done++;
		}
	}));
	const elapsed = performance.now() - began;
	return { done, elapsed, next: op === "refresh rotation" ? keys.map((k) => k.Next ?? "") : undefined };
}

for await (const line of createInterface({ input: process.stdin })) {
	const answer = await round(JSON.parse(line)).catch((e) => ({ error: `${e.message}${e.cause ? `: ${e.cause.message}` : ""}` }));
	process.stdout.write(JSON.stringify(answer) + "\n");
}
await pool.end();
