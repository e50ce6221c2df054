//go:build ignore

// The generator of the client, run in this folder.
package main

import (
	"log"

	"entgo.io/ent/entc"
	"entgo.io/ent/entc/gen"

	"github.com/authgraph/authgraph/entfast"
)

func main() {
	if err := entc.Generate("./schema", &gen.Config{
		Features: []gen.Feature{
			gen.FeaturePrivacy, gen.FeatureIntercept, gen.FeatureNamedEdges, gen.FeatureBidiEdgeRefs, gen.FeatureEntQL,
			gen.FeatureExecQuery, gen.FeatureLock, gen.FeatureModifier, gen.FeatureUpsert,
		},
	}, entc.Extensions(entfast.New())); err != nil {
		log.Fatal(err)
	}
}
