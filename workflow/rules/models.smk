# Rules of the step `models`.
