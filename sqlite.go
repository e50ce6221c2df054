package authgraph

// The driver of SQLite stands in a file of its own: a module for another database is installed without it.
import _ "modernc.org/sqlite"
