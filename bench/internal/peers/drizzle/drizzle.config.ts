import { defineConfig } from "drizzle-kit";

export default defineConfig({
	out: "./migrations",
	schema: "./schema.mjs",
	dialect: "mysql",
	dbCredentials: { url: process.env.DATABASE_URL },
});
