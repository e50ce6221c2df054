package doctor

import "entgo.io/ent/dialect"

// checks are all checks, in the order in which they are made: what migrations
// reads, privileges and drift go by.
var checks = []check{
	{
		code: "version", run: checkVersion,
		about:  "the server's product and version",
		advice: "error below MySQL 8.0.16, which does not enforce `CHECK` constraints, and MariaDB 10.5, below which nothing was tested; and for what only answers as MySQL does (TiDB, Dolt, …). `migrate apply` refuses them too",
		source: "MySQL manual, CHECK Constraints; MariaDB documentation, CONSTRAINT",
	},
	{
		code: "read-only", engine: dialect.MySQL, run: checkReadOnly,
		about:  "`read_only`, `super_read_only`, `transaction_read_only`, `innodb_read_only`, `innodb_force_recovery`, `offline_mode`, and whether the database is `READ ONLY`",
		advice: "error for each that is on: writes are refused. The line has the statement that ends it; on a replica or a secondary the URL is what is wrong",
		source: "MySQL manual, Server System Variables; MariaDB documentation, Read-Only",
	},
	{
		code: "replica", engine: dialect.MySQL, run: checkReplica,
		about:  "whether the server follows another one",
		advice: "warning where it does: it shows late what was revoked at its source, and what is written to it does not get there. Put the source into the URL",
		source: "MySQL manual, SHOW REPLICA STATUS Statement; MariaDB documentation, SHOW REPLICA STATUS",
	},
	{
		code: "cluster", engine: dialect.MySQL, run: checkCluster,
		about:  "the state of a node of Group Replication or Galera, and `group_replication_consistency` or `wsrep_sync_wait`",
		advice: "error where the node is a secondary, without quorum, not ready or outside of its group: use another node. Info where a node does not wait for what others wrote: a revoked session may be taken there for a moment",
		source: "MySQL manual, Monitoring Group Replication; Transaction Consistency Guarantees; MariaDB documentation, Galera Cluster Status Variables",
	},
	{
		code: "sql-mode", engine: dialect.MySQL, run: checkSQLMode,
		about:  "the global `sql_mode`",
		advice: "info where it is not strict, or reads quotes and backslashes in its own way. This project's clients set their own; others (a Drizzle service, a console) get the global one, and without strict mode what is too long is cut",
		source: "MySQL manual, Server SQL Modes",
	},
	{
		code: "autocommit", engine: dialect.MySQL, run: checkAutocommit,
		about:  "the global `autocommit`, and `init_connect`",
		advice: "error where it is off: a client that does not set its own, as this project's do, loses what it writes without COMMIT",
		source: "MySQL manual, Server System Variables, autocommit",
	},
	{
		code: "time-zone", engine: dialect.MySQL, run: checkTimeZone,
		about:  "the global `time_zone`, and the system's where that decides",
		advice: "warning where it is not UTC. Times are stored in UTC, but a client that does not set its session's zone writes and reads them as that zone's clock: a code it writes may have expired already",
		source: "MySQL manual, MySQL Server Time Zone Support",
	},
	{
		code: "timestamp-defaults", engine: dialect.MySQL, run: checkTimestampDefaults,
		about:  "`explicit_defaults_for_timestamp`",
		advice: "warning where it is off (MariaDB's default before 10.10): a TIMESTAMP column gets a default and `ON UPDATE` that nobody wrote",
		source: "MySQL manual, Server System Variables, explicit_defaults_for_timestamp",
	},
	{
		code: "clock", engine: dialect.MySQL, run: checkClock,
		about:  "the server's clock beside this machine's",
		advice: "warning from 2 s of difference, error from 30 s: let both follow one time server. Expiry is written by the services and compared with their clocks; `created_at` comes from the server where another client writes",
		source: "MySQL manual, Date and Time Functions, UTC_TIMESTAMP",
	},
	{
		code: "tls", engine: dialect.MySQL, run: checkTLS,
		about:  "whether the URL has this connection encrypted, and the server verified, where it leaves the machine",
		advice: "warning where it is not encrypted: token hashes and addresses can be read on the way; also under `tls=preferred` and `tls=skip-verify`: whoever stands in the way is taken for the server, and gets the password. Put `?tls=true` into the URL, or `?tls-ca=FILE` for an authority of your own. With `allowCleartextPasswords` doctor does not connect at all",
		source: "MySQL manual, Using Encrypted Connections",
	},
	{
		code: "durability", engine: dialect.MySQL, run: checkDurability,
		about:  "`innodb_flush_log_at_trx_commit`, and `sync_binlog` where there is a binary log",
		advice: "info where one is not 1: after a crash of the machine a sign-in, a revocation or a used code may be forgotten",
		source: "MySQL manual, InnoDB Startup Options and System Variables; Binary Logging Options and Variables",
	},
	{
		code: "connections", engine: dialect.MySQL, run: checkConnections,
		about:  "`max_connections` and `max_user_connections` beside what the services open (`--connections`) and the most that were open at once",
		advice: "error where the services open more than the server allows, warning where nine tenths have been in use: raise the limit, or lower `Pool.MaxOpen`",
		source: "MySQL manual, Connection Interfaces, Connection Volume Management",
	},
	{
		code: "prepared-statements", engine: dialect.MySQL, run: checkPrepared,
		about:  "the prepared statements of all clients beside `max_prepared_stmt_count`, and those that the services can keep (64 on each of `--connections`)",
		advice: "warning from four fifths on: a client that prepares gets error 1461 at the limit. Raise it, or look for a client that does not close its statements. Warning where the services can keep more than the limit: `authgraph.WithStatements`, or raise it",
		source: "MySQL manual, Server System Variables, max_prepared_stmt_count",
	},
	{
		code: "foreign-keys", engine: dialect.MySQL, run: checkForeignKeys,
		about:  "the global `foreign_key_checks`",
		advice: "error where it is off: clients write sessions of users that do not exist, and deleting a user leaves its tokens",
		source: "MySQL manual, Server System Variables, foreign_key_checks",
	},
	{
		code: "file", engine: dialect.SQLite, run: checkFile,
		about:  "who may read and write the file and those beside it",
		advice: "error where others than the owner and the group may write, warning where they may read: `chmod`",
		source: "SQLite documentation, Temporary Files Used By SQLite",
	},
	{
		code: "journal", engine: dialect.SQLite, run: checkJournal,
		about:  "the journal mode",
		advice: "info where it is not `wal`: readers and a writer block each other. The clients of this project switch it when they open the file",
		source: "SQLite documentation, Write-Ahead Logging",
	},
	{
		code: "integrity", engine: dialect.SQLite, run: checkIntegrity,
		about:  "the file, by `PRAGMA quick_check`",
		advice: "error where it is damaged: restore a copy; `sqlite3 FILE .recover` saves what can be read",
		source: "SQLite documentation, PRAGMA quick_check; Recovering Data From A Corrupt SQLite Database",
	},
	{
		code: "migrations", run: checkMigrations,
		about:  "the history of the database beside the migration directory",
		advice: "error where nothing is applied, a file stopped half way, was edited or is missing, where the directory is another tool's or empty, where there are tables without a history, where the history is that of another directory, or where another library's table, a view or a sequence has the name of one of these tables; warning where files are pending. The line names the command",
		source: "docs/migrations.md",
	},
	{
		code: "privileges", engine: dialect.MySQL, run: checkPrivileges,
		about:  "what the connected account may do, with the roles that are active",
		advice: "error where it may not read and write the tables, warning where it may more than a service needs, info on whether it may migrate and make a scratch database",
		source: "MySQL manual, Privileges Provided by MySQL; SHOW GRANTS Statement",
	},
	{
		code: "drift", run: checkDrift,
		about:  "the live tables beside what the applied migrations lead to, replayed in a scratch database (or `--dev-url`)",
		advice: "error for each difference, with the statement that undoes it; where the change is meant, make it a migration. Info for a column, an index, a check or a foreign key that no migration makes: it is kept. Collations are the next check's",
		source: "docs/migrations.md",
	},
	{
		code: "inserts", tables: true, run: checkInserts,
		about:  "columns, unique indexes, foreign keys and checks that no migration makes and that refuse rows. Where `drift` could not compare: what no file names, and columns that take less than in the schema",
		advice: "error for a column that is NOT NULL without a default (every insert is error 1364), for a unique index and for a foreign key; warning for a check and a computed column. Make it a migration where it is meant; the line has the statement that undoes it. Nothing is inserted to find out",
		source: "MySQL manual, Data Type Default Values",
	},
	{
		code: "triggers", tables: true, run: checkTriggers,
		about:  "triggers on the tables, and events of the database that name them",
		advice: "warning for each that no migration names: it can refuse, change and copy what is written. Info for the others. Without the rights TRIGGER and EVENT a server shows none, and that is said",
		source: "MySQL manual, Using Triggers; Using the Event Scheduler; SQLite documentation, CREATE TRIGGER",
	},
	{
		code: "scratch-databases", engine: dialect.MySQL, run: checkScratch,
		about:  "databases `authgraph_dev_…` that were made more than an hour ago, by their name or their tables, or whose age neither tells, and that nobody is connected to",
		advice: "info for each, with the statement that drops it: a command that plans was cut off",
		source: "docs/migrations.md",
	},
	{
		code: "collation", tables: true, run: checkCollation,
		about:  "the collation of every text column, of the tables and of the database (SQLite: of the indexes)",
		advice: "error where hashes, addresses or provider ids are not compared byte by byte: two tokens or two people become one. Warning for any other that differs, info for a database whose default is not utf8mb4",
		source: "MySQL manual, Column Character Set and Collation; The binary Collation Compared to _bin Collations; SQLite documentation, Collating Sequences",
	},
	{
		code: "default-engine", engine: dialect.MySQL, run: checkDefaultEngine,
		about:  "`default_storage_engine`, and MariaDB's `enforce_storage_engine`",
		advice: "warning where the default is not InnoDB: a table that others make without ENGINE has no transactions and no foreign keys. Error where a server enforces another engine or has InnoDB disabled: migrations are refused",
		source: "MySQL manual, Setting the Storage Engine; MariaDB documentation, enforce_storage_engine",
	},
	{
		code: "engine", engine: dialect.MySQL, tables: true, run: checkEngine,
		about:  "the storage engine of the tables",
		advice: "error where it is not InnoDB: no transactions, no foreign keys, no row locks",
		source: "MySQL manual, Alternative Storage Engines",
	},
	{
		code: "redundant-index", tables: true, run: checkRedundant,
		about:  "indexes that another one makes superfluous",
		advice: "warning where no migration makes it: it costs every write and serves no query, and the line has the statement that drops it. Info where one does: the migrations decide",
		source: "MySQL manual, Multiple-Column Indexes",
	},
	{
		code: "unused-index", engine: dialect.MySQL, tables: true, run: checkUnused,
		about:  "indexes that nothing has read since the server started, apart from those that keep values unique or serve a foreign key",
		advice: "info, with how long that is. An index of a rare job, such as a yearly report, looks the same. Where nobody counts, that is said. Of the indexes that migrations make, the migrations decide",
		source: "MySQL manual, Table I/O and Lock Wait Summary Tables; MariaDB documentation, User Statistics",
	},
	{
		code: "id-headroom", tables: true, run: checkHeadroom,
		about:  "the next id of each table beside the largest its column holds",
		advice: "warning above 50 %, error above 80 %: at the end every insert fails. Widen the column, and those that refer to it, to bigint",
		source: "MySQL manual, Using AUTO_INCREMENT; Integer Types; SQLite documentation, SQLite Autoincrement",
	},
	{
		code: "purge", tables: true, run: checkPurge,
		about:  "rows whose time is over, by the rules of `authgraph purge`, and the oldest",
		advice: "warning where rows have waited for more than two days: run `authgraph purge` daily. Counted along the indexes of the time columns",
		source: "docs/auth.md",
	},
	{
		code: "timestamp-range", engine: dialect.MySQL, tables: true, run: checkTimestampRange,
		about:  "the end of TIMESTAMP (2038-01-19, on MariaDB 11.5 and later 2106-02-07) beside the clock, the longest lifetime of `--config` and the latest expiry in the tables",
		advice: "warning from three years before, error where a lifetime that begins now would pass it: writes fail with error 1292. Change the columns to DATETIME(6) by a migration",
		source: "MySQL manual, The DATE, DATETIME, and TIMESTAMP Types; MariaDB documentation, TIMESTAMP",
	},
	{
		code: "email", tables: true, run: checkEmail,
		about:  "addresses that are not as the Go client writes them, among the newest 10000 rows of `users` and of `otps` (a sample: all of them would be a full scan)",
		advice: "error for users: a sign-in does not find them, and the same person can register twice. Warning for codes. Let the client that writes them trim, lower and compose (NFC), and correct the rows",
		source: "docs/seed-parity.md",
	},
	{
		code: "orphans", tables: true, run: checkOrphans,
		about:  "sessions and refresh tokens of users that do not exist, among the newest 100000 of each",
		advice: "error: they were written while foreign keys were off. The line has the statement that deletes them",
		source: "MySQL manual, FOREIGN KEY Constraints; SQLite documentation, SQLite Foreign Key Support",
	},
	{
		code: "values", tables: true, run: checkValues,
		about:  "what other programs wrote into the newest 10000 rows of each table: times, booleans and words that mean nothing, avatars of another form, times of creation in the future, deletions without a time, refresh tokens in a circle",
		advice: "error where a value means nothing (MySQL: a zero date, a boolean of 2, an enum of ''; SQLite, in a file from before its CHECKs: whatever they refuse) or tokens go round, warning for the rest. Package auth refuses such a row or leaves the value out, for this user only. Correct the rows, and the program that writes them",
		source: "MySQL manual, The DATE, DATETIME, and TIMESTAMP Types; The ENUM Type; docs/seed-parity.md",
	},
}
