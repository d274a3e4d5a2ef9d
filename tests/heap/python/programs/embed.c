/* A program with an interpreter in it, initialised and finalised three times. */
#include <Python.h>

int main(void)
{
	for (int round = 0; round < 3; round++) {
		char code[300];

		Py_Initialize();
		snprintf(code, sizeof code,
			 "def hold():\n"
			 "    global kept\n"
			 "    kept = [bytes(%d) for i in range(1000)]\n"
			 "hold()\n"
			 "print(len(kept), flush=True)\n",
			 3000 + 1000 * round);
		if (PyRun_SimpleString(code) != 0)
			return 1;
		if (Py_FinalizeEx() != 0)
			return 2;
	}
	return 0;
}
