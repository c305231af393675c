package collect

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/evanw/esbuild/pkg/api"

	"rejot.dev/rejot/bindings"
)

// Modules that are not bundled into a contract file have an id, by which it requires them.
const (
	ownModule     = "rejot:"   // a package of ours that the program carries
	vendorModule  = "vendor:"  // a library that the program carries
	libraryModule = "library:" // a file below node_modules
	absentModule  = "absent:"  // a package that a library asks for and that is not installed
	nodeModule    = "node:"    // built into Node
)

// carried are the imports that the program can answer itself.
var carried = map[string]string{
	"@rejot-dev/contract/public-schema":   ownModule + "contract/src/public-schema.ts",
	"@rejot-dev/contract/consumer-schema": ownModule + "contract/src/consumer-schema.ts",
	"@rejot-dev/contract/json-schema":     ownModule + "contract/src/json-schema.ts",
	"@rejot-dev/contract/manifest":        ownModule + "contract/src/manifest.ts",
	"@rejot-dev/contract/placeholders":    ownModule + "contract/src/placeholders.ts",
	"@rejot-dev/adapter-postgres":         ownModule + "adapter-postgres/src/index.ts",
	"@rejot-dev/adapter-mysql":            ownModule + "adapter-mysql/src/index.ts",
	"zod":                                 vendorModule + "zod.js",
	"zod/v4":                              vendorModule + "zod.js",
	"zod/v4/core":                         vendorModule + "zod.js#core",
	"zod-to-json-schema":                  vendorModule + "zod-to-json-schema.js",
}

// nodeBuiltins are the modules of Node that may be imported without "node:".
var nodeBuiltins = strings.Fields(`assert async_hooks buffer child_process cluster console constants crypto dgram diagnostics_channel
	dns domain events fs http http2 https inspector module net os path perf_hooks process punycode querystring readline repl stream
	string_decoder sys timers tls trace_events tty url util v8 vm wasi worker_threads zlib`)

func isNodeBuiltin(path string) bool {
	name, scheme := strings.CutPrefix(path, "node:")
	first, _, _ := strings.Cut(name, "/")
	return scheme || slices.Contains(nodeBuiltins, first)
}

// what a bundle is made of.
type bundled uint8

const (
	userCode bundled = iota
	libraryCode
)

// asked marks a resolution that the plugin itself has asked for.
type asked struct{}

// resolver leaves libraries out of a bundle, so that each is compiled once.
func resolver(what bundled) api.Plugin {
	return api.Plugin{Name: "rejot", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: `^[^./]`}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			if _, again := args.PluginData.(asked); again || args.Kind == api.ResolveEntryPoint || filepath.IsAbs(args.Path) {
				return api.OnResolveResult{}, nil
			}
			return resolve(build, what, args), nil
		})
		build.OnResolve(api.OnResolveOptions{Filter: `^\.`, Namespace: "rejot"}, func(args api.OnResolveArgs) (api.OnResolveResult, error) {
			return external(ownModule + strings.TrimPrefix(filepath.ToSlash(filepath.Join(filepath.Dir(args.Importer), args.Path)), "/")), nil
		})
	}}
}

func external(id string) api.OnResolveResult { return api.OnResolveResult{Path: id, External: true} }

// resolve answers an import of a package.
func resolve(build api.PluginBuild, what bundled, args api.OnResolveArgs) api.OnResolveResult {
	own := carried[args.Path]
	if args.Namespace == "rejot" {
		return external(own) // ours and what they use fit together
	}
	if !strings.HasPrefix(args.Path, "node:") {
		got := build.Resolve(args.Path, api.ResolveOptions{
			Importer: args.Importer, Namespace: args.Namespace, ResolveDir: args.ResolveDir, Kind: args.Kind, PluginData: asked{},
		})
		switch {
		case len(got.Errors) > 0 || got.Path == "":
		case got.External || got.Namespace != "file":
			return api.OnResolveResult{Path: got.Path, External: got.External, Namespace: got.Namespace}
		case !strings.Contains(filepath.ToSlash(got.Path), "/node_modules/"):
			return api.OnResolveResult{Path: got.Path} // an alias for a file of the user's
		case own != "" && isOriginal(args.Path, got.Path):
			return external(own)
		default:
			return external(libraryModule + got.Path)
		}
	}
	switch {
	case own != "":
		return external(own)
	case what == libraryCode && isNodeBuiltin(args.Path):
		return external(nodeModule + strings.TrimPrefix(args.Path, nodeModule))
	case what == libraryCode:
		return external(absentModule + args.Path)
	case isNodeBuiltin(args.Path):
		return api.OnResolveResult{Errors: []api.Message{{Text: "imports " + args.Path + " of Node, which a contract file cannot use", Detail: noNode}}}
	default:
		return api.OnResolveResult{Errors: []api.Message{{
			Text:   "imports the package " + args.Path + ", which is not installed here",
			Detail: "npm install " + packageOf(args.Path),
		}}}
	}
}

const noNode = "a contract file is evaluated without Node, files, network and environment; write its schemas without them"

// packageOf is the package of an import: @scope/name or name.
func packageOf(path string) string {
	parts := strings.SplitN(path, "/", 3)
	if strings.HasPrefix(path, "@") && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

// isOriginal is true for the packages of the original ReJot, whose adapter loads a database driver. Ours has the same calls.
func isOriginal(path, resolved string) bool {
	name := packageOf(path)
	if !strings.HasPrefix(name, "@rejot-dev/") {
		return false
	}
	at := strings.LastIndex(filepath.ToSlash(resolved), "/node_modules/"+name+"/")
	if at < 0 {
		return false
	}
	text, err := os.ReadFile(filepath.Join(resolved[:at], "node_modules", filepath.FromSlash(name), "package.json"))
	var p struct{ Version string }
	if err != nil || json.Unmarshal(text, &p) != nil {
		return false
	}
	return strings.HasPrefix(p.Version, "0.0.") || strings.HasPrefix(p.Version, "0.1.") || strings.HasPrefix(p.Version, "0.2.")
}

// options are the same for every bundle: what goja understands, and require for what is left out.
func options() api.BuildOptions {
	return api.BuildOptions{
		Bundle: true, Write: false, Format: api.FormatCommonJS, Target: api.ES2017, Platform: api.PlatformNeutral,
		MainFields: []string{"module", "main"}, LogLevel: api.LogLevelSilent, LegalComments: api.LegalCommentsNone,
		Loader: map[string]api.Loader{".sql": api.LoaderText}, TreeShaking: api.TreeShakingTrue,
	}
}

// A module's code is a function.
const moduleHead, moduleTail = "(function (exports, require, module) {", "})"

// bundleFiles bundles contract files; one output for each, in their order, or errors.
func bundleFiles(folder string, files []string) api.BuildResult {
	o := options()
	o.AbsWorkingDir, o.Outdir = folder, folder
	o.Sourcemap, o.SourcesContent, o.Metafile = api.SourceMapExternal, api.SourcesContentExclude, true
	o.Plugins = []api.Plugin{resolver(userCode)}
	o.Banner, o.Footer = map[string]string{"js": moduleHead}, map[string]string{"js": moduleTail} // so that the source map knows of them
	for i, f := range files {
		o.EntryPointsAdvanced = append(o.EntryPointsAdvanced, api.EntryPoint{InputPath: f, OutputPath: outputName(i)})
	}
	return api.Build(o)
}

// bundleLibrary gives the code of a module.
func bundleLibrary(id string) api.BuildResult {
	o := options()
	o.Plugins = []api.Plugin{resolver(libraryCode)}
	if path, ok := strings.CutPrefix(id, libraryModule); ok {
		o.AbsWorkingDir = filepath.Dir(path)
		o.EntryPoints = []string{path}
		return api.Build(o)
	}
	name := strings.TrimPrefix(id, ownModule)
	text, err := fs.ReadFile(bindings.TypeScript, "typescript/"+name)
	if err != nil {
		return api.BuildResult{Errors: []api.Message{{Text: err.Error()}}}
	}
	o.EntryPoints = []string{"rejot-entry"}
	o.Plugins = append([]api.Plugin{{Name: "entry", Setup: func(build api.PluginBuild) {
		build.OnResolve(api.OnResolveOptions{Filter: `^rejot-entry$`}, func(api.OnResolveArgs) (api.OnResolveResult, error) {
			return api.OnResolveResult{Path: name, Namespace: "rejot"}, nil
		})
		build.OnLoad(api.OnLoadOptions{Filter: `.*`, Namespace: "rejot"}, func(api.OnLoadArgs) (api.OnLoadResult, error) {
			contents := string(text)
			return api.OnLoadResult{Contents: &contents, Loader: api.LoaderTS}, nil
		})
	}}}, o.Plugins...)
	return api.Build(o)
}
