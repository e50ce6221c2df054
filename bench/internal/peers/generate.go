package peers

import (
	_ "embed"
	"encoding/json"
	"regexp"
)

// The generator is run by version and is no dependency: it brings three parsers of SQL.
//go:generate sh -c "cd sqlcgen && go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate"

//go:embed sqlcgen/db.go
var generated string

// SqlcVersion is the version that wrote package sqlcgen.
func SqlcVersion() string {
	return regexp.MustCompile(`sqlc v[\d.]+`).FindString(generated)
}

// DrizzleVersions are those that are installed from the npm registry.
func DrizzleVersions() []string {
	var file struct{ Dependencies map[string]string }
	text, err := drizzleFiles.ReadFile("drizzle/package.json")
	if err == nil {
		err = json.Unmarshal(text, &file)
	}
	if err != nil {
		return nil
	}
	var versions []string
	for _, name := range []string{"drizzle-orm", "drizzle-kit", "mysql2"} {
		versions = append(versions, name+" "+file.Dependencies[name])
	}
	return versions
}
