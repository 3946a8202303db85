# Rules of the step `questions`.
