package migrate_test

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"os"
	"path/filepath"

	"github.com/authgraph/authgraph/migrate"
)

// newURL is the URL of a new SQLite file; done removes it.
func newURL() (url string, done func()) {
	folder, err := os.MkdirTemp("", "authgraph")
	if err != nil {
		log.Fatal(err)
	}
	return "sqlite://" + filepath.Join(folder, "service.db"), func() { _ = os.RemoveAll(folder) }
}

// A service applies the migrations when it starts. The next start finds nothing to do.
func ExampleApply() {
	url, done := newURL() // os.Getenv("DATABASE_URL")
	defer done()
	for range 2 {
		report, err := migrate.Apply(context.Background(), url, migrate.ApplyOptions{})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println("something was applied:", len(report.Applied) > 0)
	}
	// Output:
	// something was applied: true
	// something was applied: false
}

// A health check may refuse traffic until no migration is pending.
func ExampleReadStatus() {
	url, done := newURL()
	defer done()
	ctx := context.Background()
	status, err := migrate.ReadStatus(ctx, url, migrate.StatusOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("current: %q, up to date: %t\n", status.Current, len(status.Pending) == 0)

	if _, err := migrate.Apply(ctx, url, migrate.ApplyOptions{To: "20261123174317"}); err != nil {
		log.Fatal(err)
	}
	if status, err = migrate.ReadStatus(ctx, url, migrate.StatusOptions{}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("current: %q, up to date: %t\n", status.Current, len(status.Pending) == 0)
	// Output:
	// current: "", up to date: false
	// current: "20261123174317", up to date: false
}

//go:embed sqlite
var files embed.FS

// A project that plans migrations of its own applies its directory: the files that it compiles in, or a folder.
func ExampleApply_directory() {
	url, done := newURL()
	defer done()
	dir, err := fs.Sub(files, "sqlite") // or os.DirFS("sqlite")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := migrate.Apply(context.Background(), url, migrate.ApplyOptions{Dir: dir}); err != nil {
		log.Fatal(err)
	}
	status, err := migrate.ReadStatus(context.Background(), url, migrate.StatusOptions{Dir: dir})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("pending:", len(status.Pending))
	// Output: pending: 0
}

// A migration that the database refuses says where it stopped. Once the cause is repaired, Apply goes on there.
func ExampleStmtError() {
	_, err := migrate.Apply(context.Background(), os.Getenv("DATABASE_URL"), migrate.ApplyOptions{})
	var refused *migrate.StmtError
	if errors.As(err, &refused) {
		log.Fatalf("%s, line %d: %v", refused.File, refused.Line, refused.Err)
	}
}
