import { timestamp } from "drizzle-orm/mysql-core";

// The page imports these and does not show them.
export const timestamps = {
  createdAt: timestamp("created_at").defaultNow().notNull(),
  updatedAt: timestamp("updated_at").defaultNow().onUpdateNow().notNull(),
};
