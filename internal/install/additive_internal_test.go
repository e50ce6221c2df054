package install

import (
	"strings"
	"testing"
)

func TestASchemaGetsOnlyWhatIsNew(t *testing.T) {
	const before = "-- Create \"members\" table\nCREATE TABLE `members` (\n  `id` bigint NOT NULL,\n" +
		"  `mail` varchar(255) NOT NULL,\n  PRIMARY KEY (`id`)\n) CHARSET utf8mb4;\n"
	table := func(lines string) string {
		return strings.Replace(before, "  PRIMARY KEY (`id`)", lines+"  PRIMARY KEY (`id`)", 1)
	}
	const sessions = "CREATE TABLE `sessions` (\n  `id` bigint NOT NULL\n);\n"
	for name, test := range map[string]struct{ db, after, up, down, err string }{
		"nothing": {after: before},
		"a table": {after: before + sessions, up: sessions, down: "DROP TABLE `sessions`;\n"},
		"columns and indexes": {
			after: strings.Replace(table("  `role` enum('a, b') NULL,\n  `epoch` int NOT NULL DEFAULT 0,\n"),
				"KEY (`id`)", "KEY (`id`),\n  UNIQUE INDEX `member_role` (`role`)", 1),
			up: "-- Add columns to \"members\" table\n" +
				"ALTER TABLE `members` ADD COLUMN `role` enum('a, b') NULL, " +
				"ADD COLUMN `epoch` int NOT NULL DEFAULT 0;\n" +
				"-- Add an index to \"members\" table\nCREATE UNIQUE INDEX `member_role` ON `members` (`role`);\n",
			down: "DROP INDEX `member_role` ON `members`;\n" +
				"ALTER TABLE `members` DROP COLUMN `role`, DROP COLUMN `epoch`;\n",
		},
		"columns on SQLite, one by one": {
			db: sqlite,
			after: table("  `a` text NULL,\n  `b` bool NOT NULL DEFAULT (false),\n") +
				"CREATE INDEX `m_a` ON `members` (`a`);\n",
			up: "-- Add columns to \"members\" table\nALTER TABLE `members` ADD COLUMN `a` text NULL;\n" +
				"ALTER TABLE `members` ADD COLUMN `b` bool NOT NULL DEFAULT (false);\n" +
				"CREATE INDEX `m_a` ON `members` (`a`);\n",
			down: "DROP INDEX `m_a`;\nALTER TABLE `members` DROP COLUMN `b`;\nALTER TABLE `members` DROP COLUMN `a`;\n",
		},
		"a column that old writers do not fill": {
			after: table("  `x` int NOT NULL,\n"),
			err:   "has no default",
		},
		"a check": {
			after: table("  CONSTRAINT `c` CHECK (id > 0),\n"),
			err:   "neither a column nor an index",
		},
		"a column of another type": {
			after: strings.Replace(before, "varchar(255)", "text", 1),
			err:   "the new column",
		},
		"a nullable one": {
			after: strings.Replace(before, "(255) NOT NULL", "(255) NULL", 1),
			err:   "would lose or change",
		},
		"other options": {
			after: strings.Replace(before, "utf8mb4", "latin1", 1),
			err:   "neither a column nor an index",
		},
		"a table that goes": {
			after: sessions,
			err:   "the table members would go",
		},
		"a statement of other kind": {
			after: before + "DROP TABLE `x`;\n",
			err:   "does more than add",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := onlyAdds(test.db, before, test.after)
			if (err != nil) != (test.err != "") || err != nil && !strings.Contains(err.Error(), test.err) {
				t.Fatalf("error %v, want %q", err, test.err)
			}
			if up := strings.Join(got.up, ""); err == nil && up != test.up {
				t.Errorf("up:\n%s\nwant:\n%s", up, test.up)
			}
			if down := strings.Join(got.down, ""); err == nil && down != test.down {
				t.Errorf("down:\n%s\nwant:\n%s", down, test.down)
			}
		})
	}
}
