//go:build ignore

// The generator of the client, run in this folder.
package main

import (
	"log"
	"runtime"

	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"

	"github.com/authgraph/authgraph/entfast"
)

func main() {
	// Ent formats its files in parallel, and looks for the imports of one in others that may be half written just then.
	runtime.GOMAXPROCS(1)
	if err := entc.Generate("./schema", &gen.Config{
		Features: []gen.Feature{
			gen.FeaturePrivacy, gen.FeatureIntercept, gen.FeatureNamedEdges, gen.FeatureBidiEdgeRefs, gen.FeatureEntQL,
			gen.FeatureExecQuery, gen.FeatureLock, gen.FeatureModifier, gen.FeatureUpsert,
		},
	}, entc.Extensions(entfast.New())); err != nil {
		log.Fatal(err)
	}
}
