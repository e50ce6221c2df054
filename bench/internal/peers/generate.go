package peers

// The generator is run by version and is no dependency: it brings three parsers of SQL.
//go:generate sh -c "cd sqlcgen && go run github.com/sqlc-dev/sqlc/cmd/sqlc@v1.31.1 generate"
