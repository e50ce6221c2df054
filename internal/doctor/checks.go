package doctor

import "entgo.io/ent/dialect"

// checks are all checks, in the order in which they are made: what migrations reads, privileges and drift go by.
var checks = []check{
	{
		code: "version", run: checkVersion,
		about: "the server's product and version",
		advice: "Error below MySQL 8.0.16, which does not enforce `CHECK` constraints, below MariaDB 10.5, under " +
			"which nothing was tested, and for a server that only answers as MySQL does (TiDB, Dolt, …). `migrate " +
			"apply` refuses them too",
		source: "MySQL manual, CHECK Constraints; MariaDB documentation, CONSTRAINT",
	},
	{
		code: "read-only", engine: dialect.MySQL, run: checkReadOnly,
		about: "`read_only`, `super_read_only`, `transaction_read_only`, `innodb_read_only`, " +
			"`innodb_force_recovery`, `offline_mode`, and whether the database is `READ ONLY`",
		advice: "Error for each that is on: writes are refused. The line has the statement that ends it; on a " +
			"replica or a secondary the URL is wrong",
		source: "MySQL manual, Server System Variables; MariaDB documentation, Read-Only",
	},
	{
		code: "replica", engine: dialect.MySQL, run: checkReplica,
		about: "whether the server follows another one",
		advice: "Warning if it does: it shows late what was revoked at its source, and what is written to it does " +
			"not get there. Put the source into the URL",
		source: "MySQL manual, SHOW REPLICA STATUS Statement; MariaDB documentation, SHOW REPLICA STATUS",
	},
	{
		code: "cluster", engine: dialect.MySQL, run: checkCluster,
		about: "the state of a node of Group Replication or Galera, and `group_replication_consistency` or " +
			"`wsrep_sync_wait`",
		advice: "Error if the node is a secondary, has no quorum, is not ready or is outside its group, with the " +
			"addresses of the nodes that are better. Info if the URL has nothing wait for what other nodes wrote: a " +
			"revoked session may be accepted for a moment",
		source: "MySQL manual, Monitoring Group Replication; Transaction Consistency Guarantees; MariaDB " +
			"documentation, Galera Cluster Status Variables",
	},
	{
		code: "sql-mode", engine: dialect.MySQL, run: checkSQLMode,
		about: "the global `sql_mode`",
		advice: "Info if it is not strict, or changes how quotes and backslashes are read. This project's clients " +
			"set their own. Others (a Drizzle service, a console) get the global one, and without strict mode the " +
			"server cuts what is too long",
		source: "MySQL manual, Server SQL Modes",
	},
	{
		code: "autocommit", engine: dialect.MySQL, run: checkAutocommit,
		about: "the global `autocommit`, and `init_connect`",
		advice: "Error if it is off: a client that does not set its own loses what it writes without COMMIT. This " +
			"project's clients set theirs",
		source: "MySQL manual, Server System Variables, autocommit",
	},
	{
		code: "time-zone", engine: dialect.MySQL, run: checkTimeZone,
		about: "the global `time_zone`, and the system's if that decides",
		advice: "Warning if it is not UTC. Times are stored in UTC, but a client that does not set its session's " +
			"zone writes and reads them by that zone's clock: a code it writes may have expired already",
		source: "MySQL manual, MySQL Server Time Zone Support",
	},
	{
		code: "timestamp-defaults", engine: dialect.MySQL, run: checkTimestampDefaults,
		about: "`explicit_defaults_for_timestamp`",
		advice: "Warning if it is off (MariaDB's default before 10.10): a TIMESTAMP column gets a default and an " +
			"`ON UPDATE` that nobody wrote",
		source: "MySQL manual, Server System Variables, explicit_defaults_for_timestamp",
	},
	{
		code: "clock", engine: dialect.MySQL, run: checkClock,
		about: "the server's clock and this machine's",
		advice: "Warning from 2 s of difference, error from 30 s: let both follow one time server. Services write " +
			"expiry times and compare them with their own clocks; `created_at` comes from the server if another " +
			"client writes",
		source: "MySQL manual, Date and Time Functions, UTC_TIMESTAMP",
	},
	{
		code: "tls", engine: dialect.MySQL, run: checkTLS,
		about: "whether the URL asks for encryption and a verified server, if the connection leaves the machine",
		advice: "Warning if it is not encrypted: token hashes and addresses can be read on the way. Warning under " +
			"`tls=preferred` and `tls=skip-verify` too: whoever stands in the way is taken for the server and gets " +
			"the password. Put `?tls=true` into the URL, or `?tls-ca=FILE` for an authority of your own. With " +
			"`allowCleartextPasswords` doctor does not connect at all",
		source: "MySQL manual, Using Encrypted Connections",
	},
	{
		code: "durability", engine: dialect.MySQL, run: checkDurability,
		about: "`innodb_flush_log_at_trx_commit`, and `sync_binlog` if there is a binary log",
		advice: "Info if one is not 1: after a crash of the machine a sign-in, a revocation or a used code may be " +
			"forgotten",
		source: "MySQL manual, InnoDB Startup Options and System Variables; Binary Logging Options and Variables",
	},
	{
		code: "connections", engine: dialect.MySQL, run: checkConnections,
		about: "`max_connections` and `max_user_connections` against what the services open (`--connections`) and " +
			"the most that were open at once",
		advice: "Error if the services open more than the server allows, warning if nine tenths have been in use: " +
			"raise the limit, or lower `Pool.MaxOpen`",
		source: "MySQL manual, Connection Interfaces, Connection Volume Management",
	},
	{
		code: "prepared-statements", engine: dialect.MySQL, run: checkPrepared,
		about: "the prepared statements of all clients, and those that the services can keep (64 on each of " +
			"`--connections`), against `max_prepared_stmt_count`",
		advice: "Warning from four fifths on: at the limit a client that prepares gets error 1461. Raise it, or " +
			"look for a client that does not close its statements. Warning if the services can keep more than the " +
			"limit: lower `authgraph.WithStatements`, or raise the limit",
		source: "MySQL manual, Server System Variables, max_prepared_stmt_count",
	},
	{
		code: "foreign-keys", engine: dialect.MySQL, run: checkForeignKeys,
		about: "the global `foreign_key_checks`",
		advice: "Error if it is off: clients write sessions of users that do not exist, and deleting a user leaves " +
			"its tokens",
		source: "MySQL manual, Server System Variables, foreign_key_checks",
	},
	{
		code: "file", engine: dialect.SQLite, run: checkFile,
		about:  "who may read and write the file and those beside it",
		advice: "Error if others than the owner and the group may write, warning if they may read: `chmod`",
		source: "SQLite documentation, Temporary Files Used By SQLite",
	},
	{
		code: "journal", engine: dialect.SQLite, run: checkJournal,
		about: "the journal mode",
		advice: "Info if it is not `wal`: readers and a writer block each other. This project's clients switch it " +
			"when they open the file",
		source: "SQLite documentation, Write-Ahead Logging",
	},
	{
		code: "integrity", engine: dialect.SQLite, run: checkIntegrity,
		about:  "the file, by `PRAGMA quick_check`",
		advice: "Error if it is damaged: restore a copy; `sqlite3 FILE .recover` saves what can be read",
		source: "SQLite documentation, PRAGMA quick_check; Recovering Data From A Corrupt SQLite Database",
	},
	{
		code: "migrations", run: checkMigrations,
		about: "the history of the database against the migration directory",
		advice: "Error if nothing is applied, if a file stopped half way, was edited or is missing, if the " +
			"directory is another tool's or empty, if there are tables without a history, if the history is another " +
			"directory's, or if another library's table, a view or a sequence has the name of one of these tables. " +
			"Warning if files are pending. The line names the command",
		source: "docs/migrations.md",
	},
	{
		code: "privileges", engine: dialect.MySQL, run: checkPrivileges,
		about: "what the connected account may do, with its active roles",
		advice: "Error if it may not read and write the tables, warning if it may do more than a service needs, " +
			"info on whether it may migrate and make a scratch database",
		source: "MySQL manual, Privileges Provided by MySQL; SHOW GRANTS Statement",
	},
	{
		code: "drift", run: checkDrift,
		about: "the live tables against what the applied migrations lead to, replayed in a scratch database (or " +
			"`--dev-url`)",
		advice: "Error for each difference, with the statement that undoes it; if the change is meant, make it a " +
			"migration. Info for a column, an index, a check or a foreign key that no migration makes: it is kept. " +
			"Comments are no difference. " +
			"`collation` checks collations",
		source: "docs/migrations.md",
	},
	{
		code: "inserts", tables: true, run: checkInserts,
		about: "columns, unique indexes, foreign keys and checks that no migration makes and that refuse rows. If " +
			"`drift` could not compare: what no file names, and columns that take less than in the schema",
		advice: "Error for a NOT NULL column without a default (every insert is error 1364), a unique index and a " +
			"foreign key; warning for a check and a computed column. Make it a migration if it is meant; the line " +
			"has the statement that undoes it. Nothing is inserted to find out",
		source: "MySQL manual, Data Type Default Values",
	},
	{
		code: "triggers", tables: true, run: checkTriggers,
		about: "triggers on the tables, and events of the database that name them",
		advice: "Warning for each that no migration names: it can refuse, change and copy what is written. Info for " +
			"the others. Without the rights TRIGGER and EVENT a server shows none, and the line says so",
		source: "MySQL manual, Using Triggers; Using the Event Scheduler; SQLite documentation, CREATE TRIGGER",
	},
	{
		code: "scratch-databases", engine: dialect.MySQL, run: checkScratch,
		about: "databases `authgraph_dev_…` that nobody is connected to and that, by their name or their tables, " +
			"are more than an hour old or of unknown age",
		advice: "Info for each, with the statement that drops it: a command that plans was cut off",
		source: "docs/migrations.md",
	},
	{
		code: "collation", tables: true, run: checkCollation,
		about: "the collation of every text column, of the tables and of the database (SQLite: of the indexes)",
		advice: "Error if hashes, addresses or provider ids are not compared byte by byte: two tokens or two people " +
			"become one. Warning for any other that differs, info for a database whose default is not utf8mb4",
		source: "MySQL manual, Column Character Set and Collation; The binary Collation Compared to _bin " +
			"Collations; SQLite documentation, Collating Sequences",
	},
	{
		code: "default-engine", engine: dialect.MySQL, run: checkDefaultEngine,
		about: "`default_storage_engine`, and MariaDB's `enforce_storage_engine`",
		advice: "Warning if the default is not InnoDB: a table that others make without ENGINE has no transactions " +
			"and no foreign keys. Error if a server enforces another engine or has InnoDB disabled: migrations are " +
			"refused",
		source: "MySQL manual, Setting the Storage Engine; MariaDB documentation, enforce_storage_engine",
	},
	{
		code: "engine", engine: dialect.MySQL, tables: true, run: checkEngine,
		about:  "the storage engine of the tables",
		advice: "Error if it is not InnoDB: no transactions, no foreign keys, no row locks",
		source: "MySQL manual, Alternative Storage Engines",
	},
	{
		code: "redundant-index", tables: true, run: checkRedundant,
		about: "indexes that another one makes superfluous",
		advice: "Warning if no migration makes it: it costs every write and serves no query, and the line has the " +
			"statement that drops it. Info if one does: the migrations decide",
		source: "MySQL manual, Multiple-Column Indexes",
	},
	{
		code: "unused-index", engine: dialect.MySQL, tables: true, run: checkUnused,
		about: "indexes that nothing has read since the server started, except those that keep values unique or " +
			"serve a foreign key",
		advice: "Info, with how long that is. An index of a rare job, such as a yearly report, looks the same. If " +
			"nobody counts reads, the line says so. On the indexes that migrations make, the migrations decide",
		source: "MySQL manual, Table I/O and Lock Wait Summary Tables; MariaDB documentation, User Statistics",
	},
	{
		code: "id-headroom", tables: true, run: checkHeadroom,
		about: "the next id of each table against the largest its column holds",
		advice: "Warning above 50 %, error above 80 %: at the end every insert fails. Widen the column, and those " +
			"that refer to it, to bigint",
		source: "MySQL manual, Using AUTO_INCREMENT; Integer Types; SQLite documentation, SQLite Autoincrement",
	},
	{
		code: "purge", tables: true, run: checkPurge,
		about: "rows whose time is over by the rules of `authgraph purge`, and the oldest, counted along the " +
			"indexes of the time columns",
		advice: "Warning if rows have waited for more than two days: run `authgraph purge` daily",
		source: "docs/auth.md",
	},
	{
		code: "timestamp-range", engine: dialect.MySQL, tables: true, run: checkTimestampRange,
		about: "the end of TIMESTAMP (2038-01-19, on MariaDB 11.5 and later 2106-02-07) against the clock, the " +
			"longest lifetime of `--config` and the latest expiry in the tables",
		advice: "Warning from three years before, error if a lifetime that begins now would pass it: writes fail " +
			"with error 1292. Change the columns to DATETIME(6) by a migration",
		source: "MySQL manual, The DATE, DATETIME, and TIMESTAMP Types; MariaDB documentation, TIMESTAMP",
	},
	{
		code: "users", tables: true, run: checkUsers,
		about: "of a project whose users are an entity of its own: the columns that package auth uses, a unique " +
			"index on the address, and an id to which foreign keys can refer",
		advice: "Error if the table, a column or the index is not there. Run the migration that adds it. Error if a " +
			"key of a pending migration would be refused: let the schema or the column change",
		source: "docs/own-user.md",
	},
	{
		code: "email", tables: true, run: checkEmail,
		about: "addresses that are not as the Go client writes them, in the newest 10000 rows of `users` and of " +
			"`otps` (a full scan would find all)",
		advice: "Error for users: a sign-in does not find them, and one person can register twice. Warning for " +
			"codes. Let the client that writes them trim, lower and compose (NFC), and correct the rows",
		source: "docs/seed-parity.md",
	},
	{
		code: "passwords", tables: true, run: checkPasswords,
		about: "how the passwords of the first and the last 10000 users are hashed, counted by kind",
		advice: "Warning for hashes that package auth does not read, or that cost more than it spends: their owners " +
			"cannot sign in with a password and have to reset it. What only a `Hasher` of your own reads counts as " +
			"unknown here. No hash is shown",
		source: "docs/auth.md",
	},
	{
		code: "orphans", tables: true, run: checkOrphans,
		about:  "sessions and refresh tokens of users that do not exist, among the newest 100000 of each",
		advice: "Error: they were written while foreign keys were off. The line has the statement that deletes them",
		source: "MySQL manual, FOREIGN KEY Constraints; SQLite documentation, SQLite Foreign Key Support",
	},
	{
		code: "values", tables: true, run: checkValues,
		about: "what other programs wrote into the newest 10000 rows of each table: times, booleans and words that " +
			"mean nothing, avatars of another form, times of creation in the future, deletions without a time, " +
			"refresh tokens in a circle",
		advice: "Error if a value means nothing (MySQL: a zero date, a boolean of 2, an enum of ''; SQLite, in a " +
			"file from before its CHECKs: whatever they refuse) or if tokens go round, warning for the rest. " +
			"Package auth refuses such a row or leaves the value out, for this user only. Correct the rows, and the " +
			"program that writes them",
		source: "MySQL manual, The DATE, DATETIME, and TIMESTAMP Types; The ENUM Type; docs/seed-parity.md",
	},
}
