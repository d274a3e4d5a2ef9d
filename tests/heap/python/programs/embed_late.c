/* embed_late LIBPYTHON: loads an interpreter while it runs, for itself alone (RTLD_LOCAL). */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv)
{
	void *library = dlopen(argv[argc - 1], RTLD_NOW | RTLD_LOCAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 3;
	}
	void (*initialize)(void) = (void (*)(void))dlsym(library, "Py_Initialize");
	int (*finalize)(void) = (int (*)(void))dlsym(library, "Py_FinalizeEx");
	int (*run)(const char *, void *) = (int (*)(const char *, void *))dlsym(library, "PyRun_SimpleStringFlags");

	initialize();
	run("def hold():\n"
	    "    global kept\n"
	    "    kept = [bytes(3000) for i in range(1000)]\n"
	    "hold()\n"
	    "print(len(kept), flush=True)\n",
	    NULL);
	return finalize();
}
