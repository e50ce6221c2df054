package authgraph

import "embed"

// Files are for the installer, not for services: the handwritten sources of this project that the command authgraph add
// installs into another module. They are the schema, package auth, Open and what they import, the extension of Ent's
// generator and the template under which entities print without their secrets, and this module's go.mod. They are
// carried only by programs that use the variable. Tests are among the files and are not installed.
//
//go:embed go.mod authgraph.go sqlite.go ent/schema/*.go ent/schema/schematype/*.go auth/*.go auth/internal/*/*.go
//go:embed auth/authtest/*.go
//go:embed internal/commonpassword/*.go internal/dburl/*.go internal/failover/*.go internal/mysqlconn/*.go
//go:embed internal/passhash/*.go
//go:embed stmtcache/*.go
//go:embed internal/entgen/template/*.tmpl
//go:embed entfast/*.go entfast/fast/*.go
var Files embed.FS
