package install

import (
	"slices"
	"strings"

	"github.com/authgraph/authgraph/ent/entity"
	"github.com/authgraph/authgraph/internal/registry"
)

// Entity is a table of the auth graph that can be installed.
type Entity = entity.Entity

// Entities are all that can be installed, in the order in which they are listed.
var Entities = registry.Entities

// authNeeds are the names of the entities whose generated packages package auth imports.
func authNeeds() (names []string, err error) {
	var all []string
	for _, pkg := range []string{"auth", "auth/internal/graph"} {
		imported, err := importsOf(pkg)
		if err != nil {
			return nil, err
		}
		all = append(all, imported...)
	}
	for _, e := range Entities {
		if slices.Contains(all, origin+"/ent/"+strings.ToLower(e.Type)) {
			names = append(names, e.Name)
		}
	}
	return names, nil
}
