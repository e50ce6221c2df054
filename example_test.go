package authgraph_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/authgraph/authgraph"
	"github.com/authgraph/authgraph/migrate"
)

func Example() {
	dir, remove := temporaryFolder()
	defer remove()
	ctx := context.Background()
	url := "sqlite://" + dir + "/app.db" // or mysql://user:password@host:3306/app

	if _, err := migrate.Apply(ctx, url, migrate.ApplyOptions{}); err != nil {
		log.Fatal(err)
	}
	client, err := authgraph.Open(ctx, url)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()

	u := client.User.Create().SetName("Ada").SetEmail("Ada@Example.com").SaveX(ctx)
	// The hash only shows the graph. Package auth makes tokens and stores their hashes.
	client.Session.Create().SetUser(u).SetTokenHash("9f86d081").SetExpiresAt(time.Now().Add(time.Hour)).SaveX(ctx)
	sessions := u.QuerySessions().AllX(ctx)

	fmt.Println(u.Email, len(sessions), sessions[0].IsActive)
	// Output: ada@example.com 1 true
}

func temporaryFolder() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "authgraph")
	if err != nil {
		log.Fatal(err)
	}
	return filepath.ToSlash(dir), func() { _ = os.RemoveAll(dir) }
}
