# Rules of the step `score`.
